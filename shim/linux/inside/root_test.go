package inside

import (
	"errors"
	"os"
	"testing"
)

// A process that is not in the container's cgroup is another one, whatever its number.
func TestOpenRootOfAnother(t *testing.T) {
	for _, pid := range []int{os.Getpid(), 1 << 30} {
		if root, err := OpenRoot(pid, "/sallyport/g/members/app/leaf"); !errors.Is(err, ErrNotThere) {
			t.Errorf("process %d: %v, %v; want %v", pid, root, err, ErrNotThere)
		}
	}
}
