package api

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The path of the control socket is removed, with its folder, or replaced, while the daemon serves.
// It answers there again, to root only, and goes on with what it was doing.
func TestSocketComesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"the socket is removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{"the folder is removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }},
		{"another, dead socket is there", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
			must(t, err)
			dead.SetUnlinkOnClose(false)
			must(t, dead.Close())
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run", "s.sock")
			must(t, os.Mkdir(filepath.Dir(path), 0o711))
			l, err := Listen(path, Access{})
			must(t, err)
			l.every = time.Millisecond
			d := serveOn(t, ServerConfig{}, path, l)
			_, err = d.Version(t.Context())
			must(t, err)
			for range 3 {
				before := l.current()
				tt.do(t, path)
				for end := time.Now().Add(time.Minute); l.current() == before; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatal("there is no other socket within a minute")
					}
				}
				if _, err := NewClient(path).Version(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			info, err := os.Stat(path)
			must(t, err)
			if info.Mode() != os.ModeSocket|0o600 {
				t.Errorf("mode %v, want Srw-------", info.Mode())
			}
			d.stop()
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after Close the socket is still there: %v", err)
			}
		})
	}
}

// No clock is needed for that: the kernel reports the end of the file and of its folders.
func TestSocketComesBackByAnEvent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run", "s.sock")
	must(t, os.Mkdir(filepath.Dir(path), 0o711))
	l, err := Listen(path, Access{})
	must(t, err)
	l.every = time.Hour
	d := serveOn(t, ServerConfig{}, path, l)
	for _, remove := range []string{path, filepath.Dir(path)} {
		before := l.current()
		must(t, os.RemoveAll(remove))
		for end := time.Now().Add(time.Minute); l.current() == before; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("there is no other socket within a minute of the end of %s", remove)
			}
		}
		if _, err := d.Version(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// A daemon that took the path answers there: this one leaves it alone, also when it ends.
func TestSocketOfAnotherStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Listen(path, Access{})
	must(t, err)
	must(t, os.Remove(path))
	other, err := Listen(path, Access{})
	must(t, err)
	defer other.Close()
	if there, err := l.atPath(); there || err != nil {
		t.Errorf("the path is taken for the first one's: %v, %v", there, err)
	}
	if err := l.open(); err == nil {
		t.Error("it opened a socket where another daemon answers")
	}
	must(t, l.Close())
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the other's socket is gone: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
