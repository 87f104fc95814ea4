package logs

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A collected holds all that CopyBytes has emitted.
type collected struct {
	bytes.Buffer
	dropped int64
	got     chan struct{} // has one for each part
}

func copyTo(ctx context.Context, b Bytes, c *collected) chan error {
	c.got = make(chan struct{}, 1000)
	done := make(chan error, 1)
	go func() {
		done <- CopyBytes(ctx, b, func(p []byte) error {
			c.Write(p)
			c.got <- struct{}{}
			return nil
		}, func(n int64) error { c.dropped += n; return nil })
	}()
	return done
}

func (c *collected) next(t *testing.T) {
	t.Helper()
	select {
	case <-c.got:
	case <-time.After(10 * time.Second):
		t.Fatalf("nothing came after %q", c.String())
	}
}

func appendTo(t *testing.T, path, text string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// Bytes come as they are, from an offset on, while they are written, and to the end of a file that
// is moved away.
func TestCopyBytes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "work.log")
	f := appendTo(t, path, "skipped\x00a\n\nb")
	over := make(chan struct{})
	var c collected
	done := copyTo(t.Context(), Bytes{Path: path, From: 7, Over: over}, &c)
	c.next(t)
	_, _ = f.WriteString("\xff no newline")
	c.next(t)
	if err := os.Rename(path, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	_, _ = f.WriteString(", and the rest")
	close(over)
	if err := <-done; err != nil || c.String() != "\x00a\n\nb\xff no newline, and the rest" || c.dropped != 0 {
		t.Errorf("%q, %d dropped, error %v", c.String(), c.dropped, err)
	}
}

// A caller that comes late finds the file where it is then.
func TestCopyBytesOfAMovedFile(t *testing.T) {
	dir := t.TempDir()
	moved := filepath.Join(dir, "moved.log")
	appendTo(t, moved, "all of it")
	over := make(chan struct{})
	close(over)
	for _, tt := range []struct {
		moved func() string
		want  string
	}{{func() string { return moved }, "all of it"}, {func() string { return "" }, ""}, {nil, ""}} {
		var c collected
		if err := <-copyTo(t.Context(), Bytes{Path: filepath.Join(dir, "gone", "work.log"), Moved: tt.moved, Over: over}, &c); err != nil || c.String() != tt.want {
			t.Errorf("%q, error %v", c.String(), err)
		}
	}
}

func TestCopyBytesReportsWhatWasFreed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.log")
	f := appendTo(t, path, string(bytes.Repeat([]byte("0123456789abcdef"), 64<<10/16))+"tail")
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE|unix.FALLOC_FL_PUNCH_HOLE, 0, 64<<10); err != nil {
		t.Skip("this file system frees no head: ", err)
	}
	over := make(chan struct{})
	close(over)
	var c collected
	if err := <-copyTo(t.Context(), Bytes{Path: path, From: 10, Over: over}, &c); err != nil || c.String() != "tail" || c.dropped != 64<<10-10 {
		t.Errorf("%q, %d dropped, error %v", c.String(), c.dropped, err)
	}
}

// The program has ended, and what copies its output has not.
func TestCopyBytesAwaitsTheWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.log")
	f := appendTo(t, path, "one ")
	over := make(chan struct{})
	var c collected
	done := copyTo(t.Context(), Bytes{Path: path, Over: over, Await: true}, &c)
	c.next(t)
	close(over)
	if _, err := f.WriteString("two"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("it ended while the file was open to write: %v", err)
	case <-time.After(50 * time.Millisecond): // a wait for nothing to happen
	}
	_ = f.Close()
	if err := <-done; err != nil || c.String() != "one two" {
		t.Errorf("%q, error %v", c.String(), err)
	}
}

func TestCopyBytesEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "work.log")
	appendTo(t, path, "text")
	boom := errors.New("boom")
	if err := CopyBytes(t.Context(), Bytes{Path: path, Over: make(chan struct{})}, func([]byte) error { return boom }, nil); err != boom {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var c collected
	done := copyTo(ctx, Bytes{Path: path, Over: make(chan struct{})}, &c)
	c.next(t)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("error %v", err)
	}
}
