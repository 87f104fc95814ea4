package inside

import (
	"errors"
	"os"
	"testing"
)

// A process that is not in the container's cgroup is another one, also with the same number.
func TestOpenRootOfAnother(t *testing.T) {
	for _, pid := range []int{os.Getpid(), 1 << 30} {
		for _, cgroup := range []string{"/sallyport/g/members/app/leaf", ""} {
			if root, err := OpenRoot(pid, cgroup); !errors.Is(err, ErrNotThere) {
				t.Errorf("process %d in %q: %v, %v; want %v", pid, cgroup, root, err, ErrNotThere)
			}
		}
	}
}
