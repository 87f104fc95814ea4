package logs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Over ends Copy once it has read the rest: lines without a newline, and files that it finds only
// where they have moved to.
func TestFollowIsOver(t *testing.T) {
	for name, watch := range ways {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			d.write("web", "one\n")
			over := make(chan struct{})
			lines, done := make(chan string, 10), make(chan error, 1)
			moved := t.TempDir()
			opt := Options{Follow: true, Over: over, Moved: func() string { return moved }}
			late := File{Container: "late", Path: filepath.Join(t.TempDir(), "gone", "late.log")}
			go func() {
				done <- copyFiles(t.Context(), []File{d.file("web"), late}, opt, watch, func(l Line) error {
					lines <- text(l)
					return nil
				})
			}()
			if got := <-lines; got != "web one" {
				t.Fatalf("the first line is %q", got)
			}
			d.write("web", "two\nno newline")
			d.must(os.WriteFile(filepath.Join(moved, "late.log"), []byte("short\n"), 0o644))
			close(over)
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Fatal("Copy goes on")
			}
			close(lines)
			got := map[string]bool{}
			for line := range lines {
				got[line] = true
			}
			want := map[string]bool{"web two": true, "web no newline": true, "late short": true}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("the rest (-want +got):\n%s", diff)
			}
		})
	}
}
