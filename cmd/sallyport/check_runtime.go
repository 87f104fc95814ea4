package main

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
)

const (
	runc = "runc"
	crun = "crun"
)

// A runtimeProgram is an OCI runtime, as its --version describes it.
type runtimeProgram struct {
	path    string // absolute
	name    string // runc or crun; "" if it is neither
	version string
	seccomp bool // it can apply seccomp filters
}

// runtimeName returns the word for the chosen runtime in doctor's lines.
func (f runtimeFlags) runtimeName() string {
	if name := filepath.Base(cmp.Or(f.Runtime, runc)); name == runc || name == crun {
		return name
	}
	return "runtime"
}

// runtimePath returns what containerd's shim is to run, or "" for its own choice, which is the
// runc on containerd's PATH. Containers keep the path that they were made with.
func (f runtimeFlags) runtimePath() (string, error) {
	if f.Runtime == "" || f.Runtime == runc {
		return "", nil
	}
	path, err := exec.LookPath(f.Runtime)
	if err != nil {
		return "", runtimeMissing(f.Runtime, err)
	}
	return filepath.Abs(path)
}

// runtimeMissing returns why a runtime can't be run. err is that of the look for it.
func runtimeMissing(runtime string, err error) error {
	if !errors.Is(err, exec.ErrNotFound) && !errors.Is(err, fs.ErrNotExist) { // a folder, or a file that is no program
		return unmet("correct containerd.runtime, or make the file executable", "%s can't be run: %w", runtime, cmp.Or(errors.Unwrap(err), err))
	}
	if filepath.IsAbs(runtime) {
		return unmet("correct containerd.runtime, or install it there", "there is no program %s", runtime)
	}
	if runtime != runc && runtime != crun {
		return runtimeProgram{path: runtime}.known()
	}
	return unmet("apt-get install "+runtime+" containerd", "%s is not on PATH", runtime)
}

// findRuntime returns the chosen runtime. An empty choice is runc.
func findRuntime(ctx context.Context, choice string) (runtimeProgram, error) {
	choice = cmp.Or(choice, runc)
	path, err := exec.LookPath(choice)
	if err != nil {
		return runtimeProgram{}, runtimeMissing(choice, err)
	}
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return runtimeProgram{}, unmet("run it by hand to see why", "%s --version: %w", path, err)
	}
	p := readRuntimeVersion(string(out))
	p.path = path
	return p, nil
}

// readRuntimeVersion reads what "runc --version" or "crun --version" prints. The first line has
// name and version. One with libseccomp's version, or +SECCOMP, shows that it has seccomp filters.
func readRuntimeVersion(out string) (p runtimeProgram) {
	for line := range strings.Lines(out) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case name == runc || name == crun:
			p.name, p.version = name, strings.TrimPrefix(value, "version ")
		case name == "libseccomp:", slices.Contains(strings.Fields(line), "+SECCOMP"):
			p.seccomp = true
		}
	}
	return p
}

// checkRuntime checks that the chosen runtime can keep the promise on this host.
func checkRuntime(ctx context.Context, choice string) (string, error) {
	p, err := findRuntime(ctx, choice)
	if err != nil {
		return "", err
	}
	if choice == crun && p.name == runc || choice == runc && p.name == crun {
		return "", unmet("set containerd.runtime to "+p.name, "%s is not %s but %s", p.path, choice, p.name)
	}
	if err := p.usable(lookAtRuntimeHost()); err != nil {
		return "", err
	}
	return p.version + " " + p.path, nil
}

// oldestCrun is Debian 12's, the oldest that the tests of the promise have run with.
var oldestCrun = release{1, 8, 1, final}

// known returns an error if the program is neither runc nor crun.
func (p runtimeProgram) known() error {
	if p.name == "" {
		return unmet("set containerd.runtime to runc or crun, or to the path of one", "%s is neither runc nor crun, and the promise was tested with no other runtime", p.path)
	}
	return nil
}

// usable returns why a host can't use the runtime.
func (p runtimeProgram) usable(h runtimeHost) error {
	if err := p.known(); err != nil {
		return err
	}
	switch {
	case !p.seccomp:
		return unmet("install a "+p.name+" that is built with libseccomp, for example your distribution's", "%s %s can't apply seccomp filters", p.name, p.version)
	case p.name == runc:
		return nil
	}
	r, ok := p.release()
	if !ok {
		return unmet("install crun 1.8.1 or later, or set containerd.runtime to runc", "can't read the version of crun, %q", p.version)
	}
	if slices.Compare(r[:], oldestCrun[:]) < 0 {
		return unmet("install crun 1.8.1 or later, or set containerd.runtime to runc", "crun %s is too old", p.version)
	}
	return p.runsOn(h)
}

// A runtimeHost has the properties of a host that matter to crun, and not to runc.
type runtimeHost struct {
	v1       []string // mount points of v1 hierarchies
	v2       []string // mount points of the v2 hierarchy
	lockable bool     // RLIMIT_MEMLOCK may be set to infinity
}

func lookAtRuntimeHost() runtimeHost {
	h, _ := cgroup.FindHierarchies() // another check has the error
	return runtimeHost{v1: h.V1, v2: h.V2Mounts, lockable: mayLock()}
}

// mayLock reports whether this process, and so most likely containerd, may raise RLIMIT_MEMLOCK.
func mayLock() bool {
	var limit unix.Rlimit
	if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, nil, &limit); err == nil && limit.Max == unix.RLIM_INFINITY {
		return true
	}
	return mayRaiseLimits()
}

// mayRaiseLimits reports whether this process, and so most likely containerd, has CAP_SYS_RESOURCE.
func mayRaiseLimits() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[unix.CAP_SYS_RESOURCE/32].Effective&(1<<(unix.CAP_SYS_RESOURCE%32)) != 0
}

// runsOn returns why crun can't run containers on a host. crun looks for cgroups at /sys/fs/cgroup
// alone. Where v1 is mounted beside v2, it refuses every container as soon as v2 has a controller
// (libcrun_cgroup_enter, "cgroups in hybrid mode not supported"). Without one it might leave a
// process out of the v2 cgroup that the group's fence is attached to. So it gets no such host.
func (p runtimeProgram) runsOn(h runtimeHost) error {
	const unified = "/sys/fs/cgroup"
	switch {
	case len(h.v1) > 0:
		return unmet("set containerd.runtime to runc, or boot with systemd.unified_cgroup_hierarchy=1",
			"crun %s can't run containers here: this host has cgroup v1 (%s) beside v2, and crun needs v2 alone", p.version, h.v1[0])
	case !slices.Contains(h.v2, unified):
		return unmet("set containerd.runtime to runc, or mount cgroup v2 there", "crun %s can't run containers here: cgroup v2 is not mounted at %s", p.version, unified)
	}
	// ebpf: do not require MEMLOCK for eBPF programs (crun 1.14).
	if r, ok := p.release(); ok && !h.lockable && slices.Compare(r[:], []int{1, 14, 0, final}) < 0 {
		return unmet("set containerd.runtime to runc, install crun 1.14 or later, or set LimitMEMLOCK=infinity",
			"crun %s can't run containers here: it raises the limit on locked memory (RLIMIT_MEMLOCK), which needs CAP_SYS_RESOURCE", p.version)
	}
	return nil
}

// twoNumbers matches a release of crun that has no patches: 1.14 is 1.14.0.
var twoNumbers = regexp.MustCompile(`^(\d+\.\d+)($|[^.\d])`)

// release reads the version.
func (p runtimeProgram) release() (release, bool) {
	version := p.version
	if p.name == crun {
		version = twoNumbers.ReplaceAllString(version, "${1}.0${2}")
	}
	return parseRelease(version)
}

// String returns name and version.
func (p runtimeProgram) String() string { return p.name + " " + p.version }
