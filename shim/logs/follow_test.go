package logs

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A follower is a Copy with Follow that runs beside the test.
type follower struct {
	t     *testing.T
	lines chan string
	done  chan error
	end   context.CancelFunc
}

func startFollower(t *testing.T, opt watchOptions, tail int, files ...File) *follower {
	ctx, cancel := context.WithCancel(t.Context())
	f := &follower{t, make(chan string), make(chan error, 1), cancel}
	go func() {
		f.done <- copyFiles(ctx, files, Options{Follow: true, Tail: tail}, opt, func(l Line) error {
			select {
			case f.lines <- text(l):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-f.done; err != nil {
			t.Errorf("the end of ctx: got %v, want no error", err)
		}
	})
	return f
}

func (f *follower) want(lines ...string) {
	f.t.Helper()
	var got []string
	for range lines {
		select {
		case line := <-f.lines:
			got = append(got, line)
		case <-time.After(20 * time.Second):
			f.t.Fatalf("no line after %q, want %q", got, lines)
		}
	}
	if diff := cmp.Diff(lines, got); diff != "" {
		f.t.Fatalf("lines (-want +got):\n%s", diff)
	}
}

// Each way to notice changes is tested alone: inotify with a clock that never fires, and the clock
// without inotify.
var ways = map[string]watchOptions{
	"inotify": {notify: true, poll: time.Millisecond, check: time.Hour},
	"clock":   {poll: time.Millisecond, check: time.Millisecond},
}

func TestFollow(t *testing.T) {
	for _, tt := range []struct {
		name string
		run  func(d folder, start func(tail int, containers ...string) *follower)
	}{
		{"new lines", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\n")
			f := start(0, "web")
			f.want("web one")
			d.write("web", "two\nthree\n")
			f.want("web two", "web three")
		}},
		{"tail", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\ntwo\nthree\n")
			f := start(1, "web")
			f.want("web three")
			d.write("web", "four\n")
			f.want("web four")
		}},
		{"several files", func(d folder, start func(int, ...string) *follower) {
			d.write("a", "1\n")
			d.write("b", "2\n")
			f := start(0, "b", "a")
			f.want("b 2", "a 1")
			d.write("a", "3\n")
			f.want("a 3")
			d.write("b", "4\n")
			f.want("b 4")
		}},
		{"a line in two writes", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\nhal")
			f := start(0, "web")
			f.want("web one")
			d.write("web", "f\n")
			f.want("web half")
		}},
		{"a long line without end", func(d folder, start func(int, ...string) *follower) {
			f := start(0, "web")
			d.write("web", strings.Repeat("x", maxLine+1))
			f.want("web x*65536")
			d.write("web", "yz\n")
			f.want("web xyz")
		}},
		{"a file that appears", func(d folder, start func(int, ...string) *follower) {
			d.write("other", "ready\n")
			f := start(1, "other", "web")
			f.want("other ready") // all files are opened before the first is read
			d.write("web", "one\ntwo\n")
			f.want("web one", "web two")
		}},
		{"truncated", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\ntwo\npart")
			f := start(0, "web")
			f.want("web one", "web two")
			d.must(os.Truncate(d.file("web").Path, 0))
			f.want("web part")
			d.write("web", "new\n")
			f.want("web new")
		}},
		{"replaced", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\nlast line")
			f := start(0, "web")
			f.want("web one")
			d.write("new", "first\n")
			d.must(os.Rename(d.file("new").Path, d.file("web").Path))
			f.want("web last line", "web first")
			d.write("web", "second\n")
			f.want("web second")
		}},
		{"removed and created again", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\n")
			f := start(0, "web")
			f.want("web one")
			d.must(os.Remove(d.file("web").Path))
			d.write("web", "two\n")
			f.want("web two")
		}},
		{"unlinked and still written", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\n")
			w, err := os.OpenFile(d.file("web").Path, os.O_APPEND|os.O_WRONLY, 0)
			d.must(err)
			defer w.Close()
			f := start(0, "web")
			f.want("web one")
			d.must(os.Remove(d.file("web").Path))
			_, err = w.WriteString("two\n")
			d.must(err)
			f.want("web two")
		}},
		{"the folder removed and created again", func(d folder, start func(int, ...string) *follower) {
			d.write("web", "one\n")
			f := start(0, "web")
			f.want("web one")
			d.must(os.RemoveAll(d.dir))
			d.write("web", "two\n")
			f.want("web two")
			d.write("web", "three\n")
			f.want("web three")
		}},
		{"a folder that appears", func(d folder, start func(int, ...string) *follower) {
			d.must(os.RemoveAll(d.dir))
			f := start(0, "web")
			d.write("web", "one\n")
			f.want("web one")
			d.write("web", "two\n")
			f.want("web two")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for way, opt := range ways {
				t.Run(way, func(t *testing.T) {
					d := newFolder(t)
					tt.run(d, func(tail int, containers ...string) *follower {
						var files []File
						for _, name := range containers {
							files = append(files, d.file(name))
						}
						return startFollower(t, opt, tail, files...)
					})
				})
			}
		})
	}
}

func TestFollowOnlyWhatIsNew(t *testing.T) {
	d := newFolder(t)
	d.write("web", "old\n")
	f := startFollower(t, ways["inotify"], -1, d.file("web"), d.file("late"))
	for begun := false; !begun; { // lines before the follower's first read are old too
		d.write("late", "here\n")
		select {
		case <-f.lines:
			begun = true
		case <-time.After(time.Millisecond):
		}
	}
	d.write("web", "new\n")
	for line := ""; line != "web new"; {
		if line = <-f.lines; line == "web old" {
			t.Fatal("emitted an old line")
		}
	}
}

func TestFollowEndsWithEmit(t *testing.T) {
	d := newFolder(t)
	d.write("web", "one\n")
	gone := errors.New("the reader is gone")
	err := Copy(t.Context(), []File{d.file("web")}, Options{Follow: true}, func(Line) error { return gone })
	if err != gone {
		t.Errorf("got %v, want %v", err, gone)
	}
}

// A file without new output causes no reads except those of the clock.
func TestWatcherSleeps(t *testing.T) {
	d := newFolder(t)
	d.write("web", "")
	w := newWatcher([]File{d.file("web")}, watchOptions{notify: true, poll: time.Hour, check: time.Hour})
	defer w.close()
	d.write("another", "not ours\n")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if w.wait(ctx, false) {
		t.Error("woken by a file that isn't followed")
	}
	d.write("web", "ours\n")
	if !w.wait(t.Context(), false) {
		t.Error("not woken by a file that is followed")
	}
}
