package egress

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// selfTestPrefix begins the name of a self-test's cgroup. The number of its process follows. A
// group has no point in its name.
const selfTestPrefix = "selftest."

func selfTestName() string { return fmt.Sprint(selfTestPrefix, os.Getpid()) }

// IsSelfTest reports whether a cgroup below that of all groups belongs to a [SelfTest]. It looks
// like that of a group, and another process may be testing in it now.
func IsSelfTest(name string) bool { return strings.HasPrefix(name, selfTestPrefix) }

// removeSelfTests removes what self-tests have left whose processes were killed. What is in use
// stays.
func removeSelfTests(h cgroup.Hierarchies, cgroupRoot string) {
	below, err := h.Children(cgroupRoot)
	if err != nil {
		return // the test itself reports what is wrong
	}
	for _, name := range below {
		pid, err := strconv.Atoi(strings.TrimPrefix(name, selfTestPrefix))
		if IsSelfTest(name) && err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = h.Remove(path.Join(cgroupRoot, name)) // the next one tries again
		}
	}
}
