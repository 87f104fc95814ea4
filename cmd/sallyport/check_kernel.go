package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
)

func checkRoot(context.Context) (string, error) {
	if uid := os.Geteuid(); uid != 0 {
		return "", unmet("run it with sudo", "namespaces and rules need root, but this is uid %d", uid)
	}
	return "this is uid 0", nil
}

// Linux 5.16 is the first kernel whose nftables match both sockets by their cgroup v2 (since 5.13)
// and the payload of a transport header.
const oldestMajor, oldestMinor = 5, 16

func checkKernel(context.Context) (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", fmt.Errorf("read the kernel's version: %w", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	if !newEnough(release) {
		return "", unmet(fmt.Sprintf("boot kernel %d.%d or later", oldestMajor, oldestMinor), "kernel %s can't match processes by their cgroup", release)
	}
	return release, nil
}

// newEnough compares a release such as "6.1.0-18-amd64". A release that it can't read passes,
// because the self-test decides in the end.
func newEnough(release string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(release, "%d.%d", &major, &minor); n != 2 {
		return true
	}
	return major > oldestMajor || (major == oldestMajor && minor >= oldestMinor)
}

func checkCgroup2(context.Context) (string, error) {
	found, err := cgroup.FindHierarchies()
	if errors.Is(err, cgroup.ErrNoCgroup2) {
		return "", unmet("boot with systemd.unified_cgroup_hierarchy=1, or: mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
			"no cgroup v2 hierarchy is mounted")
	}
	return found.V2, err
}

func checkSeccomp(context.Context) (string, error) {
	actions, err := os.ReadFile("/proc/sys/kernel/seccomp/actions_avail")
	if err != nil || !strings.Contains(string(actions), "errno") {
		return "", unmet("boot a kernel with CONFIG_SECCOMP_FILTER; without it members could reach packet sockets", "this kernel has no seccomp filters")
	}
	return "filters", nil
}
