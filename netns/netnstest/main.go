// Package netnstest gives tests throw-away hosts. The test process runs in network and mount
// namespaces of its own. There it makes further namespaces, links, helpers and captures. If a test
// leaves something behind, its package fails.
//
// Pitfall: as root, [Main] starts the test binary a second time inside the namespaces. A
// debugger attached to the first process sees nothing.
package netnstest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/helper"
)

const insideEnv = "SALLYPORT_NETNSTEST"

// Main is for a package's TestMain: os.Exit(netnstest.Main(m)). As root it runs the tests in a host
// of their own. It fails them if they leave a link, a mount, a cgroup or an open namespace behind.
// As another user it just runs them.
func Main(m *testing.M) int {
	registerCalls()
	helper.Main()
	if os.Geteuid() != 0 {
		return m.Run()
	}
	if os.Getenv(insideEnv) == "" {
		return outside()
	}
	if err := enter(); err != nil {
		fmt.Fprintln(os.Stderr, "netnstest:", err)
		return 1
	}
	before := leftovers()
	code := m.Run()
	for what := range leftovers() {
		if _, was := before[what]; !was {
			fmt.Fprintln(os.Stderr, "netnstest: left behind:", what)
			code = max(code, 1)
		}
	}
	return code
}

func outside() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "netnstest:", err)
		return 1
	}
	return 0
}

func enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}

// leftovers lists what tests must not leave behind.
func leftovers() map[string]bool {
	found := map[string]bool{}
	links, _ := netns.Dump(netlink.LinkList)
	for _, l := range links {
		found["link "+l.Attrs().Name] = true
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 {
			found["mount "+f[4]] = true
		}
	}
	if h, err := cgroup.FindHierarchies(); err == nil {
		below, _ := h.Children("/")
		for _, c := range below {
			if strings.HasPrefix(c, cgroupPrefix) && strings.HasSuffix(c, fmt.Sprint(os.Getpid())) {
				found["cgroup "+c] = true
			}
		}
	}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		if target, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(target, "net:") {
			found["descriptor "+fd.Name()+" of "+target] = true
		}
	}
	return found
}

const cgroupPrefix = "sallyport-test-"

// CgroupRoot returns a cgroup path for this test process alone.
func CgroupRoot() string { return fmt.Sprintf("/%s%d", cgroupPrefix, os.Getpid()) }

// Root skips a test that needs root. If CI is set, it fails the test.
func Root(t testing.TB) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("needs root")
	default:
		t.Skip("needs root")
	}
}
