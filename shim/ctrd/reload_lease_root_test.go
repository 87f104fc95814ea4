package ctrd

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestRootRewriteOwned rewrites a file of another user without CAP_LEASE, as the daemon's service
// does. The control: a file that is open elsewhere stays as it is.
func TestRootRewriteOwned(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	name := filepath.Join(t.TempDir(), "0")
	err := os.WriteFile(name, []byte("one"), 0o400)
	if err == nil {
		err = os.Chown(name, 1000, 1001)
	}
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		written bool
		err     error
	}
	rewritten := func(content string) result {
		done := make(chan result)
		go func() {
			runtime.LockOSThread() // and never unlock: the thread ends with its capabilities
			header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
			var sets [2]unix.CapUserData
			err := unix.Capget(&header, &sets[0])
			if err == nil {
				sets[0].Effective &^= 1 << unix.CAP_LEASE
				err = unix.Capset(&header, &sets[0])
			}
			if err != nil {
				done <- result{err: err}
				return
			}
			written, err := rewrite(name, []byte(content))
			done <- result{written, err}
		}()
		return <-done
	}
	expect := func(content string) {
		t.Helper()
		var st unix.Stat_t
		text, err := os.ReadFile(name)
		if err == nil {
			err = unix.Stat(name, &st)
		}
		if err != nil || string(text) != content || st.Uid != 1000 || st.Gid != 1001 || st.Mode&0o777 != 0o400 {
			t.Errorf("it is %q of %d:%d, mode %o (%v)", text, st.Uid, st.Gid, st.Mode&0o777, err)
		}
	}
	if got := rewritten("two"); got != (result{written: true}) {
		t.Errorf("rewritten: %+v", got)
	}
	expect("two")
	open, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if got := rewritten("three"); got != (result{}) {
		t.Errorf("rewritten while it is open: %+v", got)
	}
	expect("two")
}
