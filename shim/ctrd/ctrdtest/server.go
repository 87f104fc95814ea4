package ctrdtest

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// NewestEnv names the folder with the newest containerd and its shim. The Makefile sets it.
const NewestEnv = "SALLYPORT_CONTAINERD_NEWEST"

// EachBinary runs f with the path of each containerd to test against, with both at the same time,
// since most of a test is waiting. It returns when both have ended.
func EachBinary(t *testing.T, f func(t *testing.T, binary string)) {
	t.Helper()
	NeedRoot(t)
	var both sync.WaitGroup
	defer both.Wait()
	both.Go(func() {
		t.Run("distribution", func(t *testing.T) {
			path, err := exec.LookPath("containerd")
			if err != nil {
				Missing(t, "containerd is not installed")
			}
			f(t, path)
		})
	})
	both.Go(func() {
		t.Run("newest", func(t *testing.T) {
			f(t, Newest(t))
		})
	})
}

// Newest returns the path of the newest containerd.
func Newest(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(NewestEnv)
	if dir == "" {
		Missing(t, NewestEnv+" is not set")
	}
	return filepath.Join(dir, "containerd")
}

// NeedRoot skips a test without root. It fails the test if CI is set.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root")
	}
}

// Missing skips a test that lacks something. It fails the test if CI is set, where everything must
// be there.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// ShortDir is like t.TempDir, with a path short enough for sockets below it. It unmounts what is
// mounted below before it removes the folder.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
		if err != nil {
			t.Error(err)
		}
		for _, m := range slices.Backward(mounts) {
			if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
				t.Errorf("unmount %s: %v", m.Mountpoint, err)
			}
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// KillShims kills the shims that report to the containerd at this address. No other containerd has
// it.
func KillShims(t testing.TB, address string) {
	t.Helper()
	procs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range procs {
		b, err := os.ReadFile(p)
		args := strings.Split(string(b), "\x00")
		if err != nil || !strings.HasPrefix(filepath.Base(args[0]), "containerd-shim-") || !slices.Contains(args, address) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		if err == nil {
			t.Logf("kill left-over shim %d", pid)
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// Log writes into the test's own log.
func Log(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(logWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type logWriter struct{ t testing.TB }

func (w logWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimRight(string(b), "\n"))
	return len(b), nil
}
