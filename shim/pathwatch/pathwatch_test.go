package pathwatch

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// forever is longer than a test takes: only an event ends such a wait.
const forever = time.Hour

// newWatch returns a watch that has begun, of a file that is there, in a folder of a folder.
func newWatch(t *testing.T) (w *Watch, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "child", "s.sock")
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, nil, 0o600))
	w = New(path)
	t.Cleanup(w.Close)
	w.Wait(t.Context(), forever) // returns when it watches
	return w, path
}

func TestWait(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, path string)
	}{
		{"the file is removed", func(t *testing.T, path string) { must(t, os.Remove(path)) }},
		{"it is moved away", func(t *testing.T, path string) { must(t, os.Rename(path, path+".old")) }},
		{"another takes its place", func(t *testing.T, path string) {
			must(t, os.WriteFile(path+".new", nil, 0o600))
			must(t, os.Rename(path+".new", path))
		}},
		{"its folder is removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(path))) }},
		{"its folder is moved", func(t *testing.T, path string) { must(t, os.Rename(filepath.Dir(path), filepath.Dir(path)+".old")) }},
		{"the folder above is removed", func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Dir(filepath.Dir(path)))) }},
		{"the folder above is moved", func(t *testing.T, path string) {
			above := filepath.Dir(filepath.Dir(path))
			must(t, os.Rename(above, above+".old"))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, path := newWatch(t)
			tt.do(t, path)
			w.Wait(t.Context(), forever)
			// It is watched again when it is there again.
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, nil, 0o600))
			for w.events == nil {
				w.Wait(t.Context(), forever)
			}
			must(t, os.Remove(path))
			w.Wait(t.Context(), forever)
		})
	}
}

// The folder of an open socket ends some time after the socket's path did. The socket keeps what
// was the folder, so that this has no event in it.
func TestFolderOfAnOpenSocketEnds(t *testing.T) {
	for _, up := range []int{1, 2} {
		path := filepath.Join(t.TempDir(), "run", "child", "s.sock")
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		l, err := net.Listen("unix", path)
		must(t, err)
		defer l.Close()
		w := New(path)
		defer w.Close()
		w.Wait(t.Context(), forever) // returns when it watches
		must(t, os.Remove(path))
		w.Wait(t.Context(), forever)
		ended := path
		for range up {
			ended = filepath.Dir(ended)
		}
		must(t, os.RemoveAll(ended))
		w.Wait(t.Context(), forever)
		if w.events != nil {
			t.Errorf("the watch of %s goes on in a folder that was removed", path)
		}
	}
}

// What happens to other files of the folder, and to the content of this one, ends no wait.
func TestOthersChange(t *testing.T) {
	w, path := newWatch(t)
	must(t, os.WriteFile(path+".other", nil, 0o600))
	must(t, os.Remove(path+".other"))
	must(t, os.WriteFile(path, []byte("more"), 0o600))
	const shortly = 20 * time.Millisecond
	began := time.Now()
	w.Wait(t.Context(), shortly)
	if waited := time.Since(began); waited < shortly {
		t.Errorf("the wait of %v ended after %v", shortly, waited)
	}
}

func TestWaitEnds(t *testing.T) {
	t.Run("with its context", func(t *testing.T) {
		w, _ := newWatch(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.Wait(ctx, forever)
	})
	t.Run("with its context, while the folder is away", func(t *testing.T) {
		w := New(filepath.Join(t.TempDir(), "away", "s.sock"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.Wait(ctx, forever)
	})
	t.Run("soon, while the folder is away", func(t *testing.T) {
		w := New(filepath.Join(t.TempDir(), "away", "s.sock"))
		w.Wait(t.Context(), forever)
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
