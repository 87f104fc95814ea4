package quota

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// writerEnv makes this program write to the file that it names, as a process of a container would.
const writerEnv = "SALLYPORT_TEST_WRITER"

// TestMain fails if a mount, a descriptor or a process is left.
func TestMain(m *testing.M) {
	if path := os.Getenv(writerEnv); path != "" {
		dropResource()
		wrote, err := fill(path)
		fmt.Print(wrote, " ", unix.ErrnoName(err))
		return
	}
	os.Exit(netnstest.Main(m))
}

// dropResource takes CAP_SYS_RESOURCE from this thread, and keeps the caller on it.
func dropResource() {
	runtime.LockOSThread()
	var sets [2]unix.CapUserData
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	err := unix.Capget(&header, &sets[0])
	sets[0].Effective &^= 1 << unix.CAP_SYS_RESOURCE
	if err = errors.Join(err, unix.Capset(&header, &sets[0])); err != nil {
		panic(err)
	}
}

// fillBytes are written to a file that has no bound.
const fillBytes = 8 << 20

// fill writes to a file until it has fillBytes, or the kernel refuses.
func fill(path string) (wrote int, _ unix.Errno) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	for err == nil && wrote < fillBytes {
		var n int
		n, err = unix.Write(fd, make([]byte, 64<<10))
		wrote += max(n, 0)
	}
	var errno unix.Errno
	errors.As(err, &errno)
	return wrote, errno
}
