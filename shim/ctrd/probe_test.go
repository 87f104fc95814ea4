package ctrd

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/spec"
)

// denied is the outcome of each attempt of testdata/probe in a container. Those that are ok are the
// control.
var denied = map[string]string{
	"inet stream":       "ok",
	"inet datagram":     "ok",
	"inet6 stream":      "ok",
	"unix":              "ok",
	"unix pair":         "ok",
	"netlink route":     "ok",
	"netlink netfilter": "EPROTONOSUPPORT",
	"netlink audit":     "EPROTONOSUPPORT",
	"packet":            "EAFNOSUPPORT",
	"inet packet":       "EPERM",
	"inet raw":          "EPERM",
	"inet6 raw":         "EPERM",
	"vsock":             "EAFNOSUPPORT",
	"alg":               "EAFNOSUPPORT",
	"bluetooth":         "EAFNOSUPPORT",
	"can":               "EAFNOSUPPORT",
	"xdp":               "EAFNOSUPPORT",
	"key":               "EAFNOSUPPORT",
	"tipc pair":         "EAFNOSUPPORT",
	"io_uring":          "EPERM",

	"open own namespace": "ok",
	"setns":              "EPERM",
	"unshare user":       "EPERM",
	"unshare net":        "EPERM",
	"clone user":         "EPERM",
	"clone3":             "ENOSYS",
	"ptrace":             "EPERM",
	"pidfd_getfd":        "EPERM",
	"process_vm_readv":   "EPERM",
	"kcmp":               "EPERM",

	"mount":             "EPERM",
	"umount":            "EPERM",
	"fsopen":            "EPERM",
	"bpf":               "EPERM",
	"perf_event_open":   "EPERM",
	"keyctl":            "EPERM",
	"add_key":           "EPERM",
	"userfaultfd":       "EPERM",
	"open_by_handle_at": "EPERM",
	"init_module":       "EPERM",
	"mknod":             "EPERM",

	"own file": "ok",
	"sysctl":   "EROFS",
	"cgroup":   "EROFS",
	"sysfs":    "EROFS",
}

func TestRootProbe(t *testing.T) {
	program := buildProbe(t, "amd64")
	archive := busyboxArchive(t)
	// Giving up capabilities allows raw sockets, and nothing else of these.
	unsafe := placed("unsafe", spec.Ambassador, program)
	unsafe.Unsafe.Capabilities = []string{"NET_ADMIN", "NET_RAW"}
	raw := maps.Clone(denied)
	raw["inet raw"], raw["inet6 raw"] = "ok", "ok"
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive,
			placed("member", spec.App, program), placed("door", spec.Ambassador, program), unsafe,
			script("shell", spec.App, "sleep 1000"))
		r.run()
		for name, want := range map[string]map[string]string{"member": denied, "door": denied, "unsafe": raw} {
			out, s := r.ended(name)
			if s.ExitStatus != 0 {
				t.Errorf("%s ended with status %d", name, s.ExitStatus)
			}
			if diff := cmp.Diff(want, outcomes(out)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		// An exec'd process has the same limits as the program itself.
		out, _ := r.exec("shell", "cat /proc/self/status")
		checkStatus(t, out)
		out, status := r.exec("shell", "mount -t tmpfs none /tmp")
		if status == 0 {
			t.Errorf("an exec'd process mounts: %s", out)
		}
	})
}

// placed is a container whose program is put into it as a file.
func placed(name string, role spec.Role, program []byte) spec.Container {
	return spec.Container{Name: name, Role: role, Command: []string{"/probe"}, Files: []spec.File{{Path: "/probe", Content: program, Mode: 0o555}}}
}

func outcomes(out string) map[string]string {
	got := make(map[string]string)
	for line := range strings.Lines(out) {
		name, outcome, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasSuffix(outcome, "operation not permitted") { // of a whole os/exec error
			outcome = "EPERM"
		}
		got[name] = outcome
	}
	return got
}

// checkStatus checks a process from inside: no capability beyond the default set, no way to more,
// and a filter in force.
func checkStatus(t *testing.T, status string) {
	t.Helper()
	got := map[string]string{}
	for line := range strings.Lines(status) {
		name, value, _ := strings.Cut(line, ":")
		got[name] = strings.TrimSpace(value)
	}
	for name, want := range map[string]string{
		"CapInh": "0000000000000000", "CapAmb": "0000000000000000",
		"CapPrm": "00000000800405fb", "CapEff": "00000000800405fb", "CapBnd": "00000000800405fb",
		"NoNewPrivs": "1", "Seccomp": "2",
	} {
		if got[name] != want {
			t.Errorf("%s: %s, want %s", name, got[name], want)
		}
	}
}

// A filter can't tell families apart in the 32-bit table, so a program of that kind is killed at
// once.
func TestRootProbe32(t *testing.T) {
	ctrdtest.NeedRoot(t)
	program := buildProbe(t, "386")
	path := filepath.Join(t.TempDir(), "probe")
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "control").CombinedOutput(); err != nil || string(out) != "control: ok\n" {
		t.Skipf("this kernel runs no 32-bit programs: %v: %s", err, out)
	}
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, placed("member", spec.App, program))
		r.run()
		out, s := r.ended("member")
		if want := uint32(128 + unix.SIGSYS); out != "" || s.ExitStatus != want {
			t.Errorf("said %q, ended with status %d, want nothing and %d", out, s.ExitStatus, want)
		}
	})
}

func buildProbe(t *testing.T, goarch string) []byte {
	t.Helper()
	_, content := buildProgram(t, "probe", goarch)
	return content
}

// buildProgram builds a program of testdata. It returns its path and what is in it.
func buildProgram(t *testing.T, name, goarch string) (path string, content []byte) {
	t.Helper()
	ctrdtest.NeedRoot(t)
	path = filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+goarch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

// The container's surroundings as its program sees them.
func TestRootInside(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "web.tar")
	ctrdtest.NeedRoot(t)
	ctrdtest.WriteOCI(t, archive, busyboxImage(t, func(i *ocispec.Image) {
		i.Config.User = "web"
		i.Config.Env = []string{"PATH=/bin", "FROM=image", "BOTH=image"}
		i.Config.WorkingDir = "/srv"
	}))
	eachServer(t, func(t *testing.T, c *Client) {
		app := script("app", spec.App, `id; pwd; echo $FROM $BOTH; cat /etc/hostname /etc/hosts; cat /etc/resolv.conf; cat /opt/own/file 2>/dev/null || echo denied; stat -c %a /opt/own/file; cat /proc/self/status >/data/status; echo in >/data/shared`)
		app.Env = map[string]string{"BOTH": "own"}
		app.Files = []spec.File{{Path: "/opt/own/file", Content: []byte("own\n"), Mode: 0o440}, {Path: "/etc/passwd", Content: []byte("web:x:1000:1000::/data:/bin/sh\n")}}
		app.Mounts = []spec.Mount{{Volume: "data", Path: "/data"}}
		reader := script("reader", spec.Sidecar, "until cat /data/shared >/dev/null; do sleep 0.1; done 2>/dev/null; touch /data/mine 2>/dev/null || echo refused")
		reader.Mounts = []spec.Mount{{Volume: "data", Path: "/data", ReadOnly: true}}
		reader.User = "0"
		r := newHarness(t, c, archive, app, reader)
		r.group.Volumes = []spec.Volume{{Name: "data", Size: 1 << 20}}
		data := c.cfg.Layout.VolumePath("g", "data")
		if err := os.MkdirAll(data, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(data, 0o1777); err != nil {
			t.Fatal(err)
		}
		r.run()
		out, s := r.ended("app")
		const want = `uid=1000(web) gid=1000(web) groups=2000(logs)
/srv
image own
g
127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
127.0.0.1	g
denied
440
`
		if diff := cmp.Diff(want, out); diff != "" || s.ExitStatus != 0 {
			t.Errorf("status %d (-want +got):\n%s", s.ExitStatus, diff)
		}
		status, err := os.ReadFile(filepath.Join(data, "status"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(status), "CapEff:\t0000000000000000") {
			t.Errorf("a user other than root has capabilities:\n%s", status)
		}
		if out, _ := r.ended("reader"); out != "refused\n" {
			t.Errorf("reader said %q", out)
		}
	})
}
