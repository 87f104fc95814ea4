package ctrd

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
)

// readInput opens the other end of a container's standard input, as its shim does.
func readInput(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func newInputClient(t *testing.T) (*Client, string) {
	c := &Client{cfg: Config{Layout: layout.Layout{RunDir: t.TempDir()}}}
	path, err := c.makeInput("report-1", "work")
	if err != nil {
		t.Fatal(err)
	}
	return c, path
}

// An input that is opened again goes on where it was, also into the fifo of a new container.
func TestInputGoesOn(t *testing.T) {
	c, path := newInputClient(t)
	r := readInput(t, path)
	for i, text := range []string{"one ", "two "} {
		in, err := c.OpenInput(t.Context(), "report-1", "work")
		if err != nil {
			t.Fatal(err)
		}
		if got := in.Taken(); got != uint64(4*i) {
			t.Errorf("before %q it has taken %d", text, got)
		}
		if n, err := in.Write([]byte(text)); n != 4 || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		_ = in.Close()
		_ = in.Close()
	}
	buf := make([]byte, 8)
	if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "one two " {
		t.Errorf("read %q, %v", buf, err)
	}
	_ = r.Close()
	if path, err := c.makeInput("report-1", "work"); err != nil {
		t.Fatal(err)
	} else {
		readInput(t, path)
	}
	in, err := c.OpenInput(t.Context(), "report-1", "work")
	if err != nil || in.Taken() != 8 {
		t.Fatalf("of another container: %v", err)
	}
	_ = in.Close()
	for range 2 {
		if err := c.RemoveInput("report-1", "work"); err != nil {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(strings.TrimSuffix(path, "/report-1.work")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// A write that waits for the program ends when the input is closed, and what was taken is known.
func TestInputWriteEnds(t *testing.T) {
	c, path := newInputClient(t)
	r := readInput(t, path)
	in, err := c.OpenInput(t.Context(), "report-1", "work")
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20 // more than a pipe takes
	done := make(chan int)
	go func() {
		n, _ := in.Write(make([]byte, size))
		done <- n
	}()
	buf := make([]byte, 1)
	for n := 0; n == 0; n, _ = r.Read(buf) { // the write has begun
	}
	_ = in.Close()
	n := <-done
	if n == 0 || n == size {
		t.Errorf("it has taken %d", n)
	}
	again, err := c.OpenInput(t.Context(), "report-1", "work")
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.Taken() != uint64(n) {
		t.Errorf("opened again, it has taken %d of %d", again.Taken(), n)
	}
	_ = r.Close()
	if n, err := again.Write(make([]byte, size)); n != size || err != nil {
		t.Errorf("to a program that reads no more: %d, %v", n, err)
	}
}

// A process that is killed while it writes leaves what is not known.
func TestInputThatIsUnknown(t *testing.T) {
	c, path := newInputClient(t)
	readInput(t, path)
	in, err := c.OpenInput(t.Context(), "report-1", "work")
	if err != nil {
		t.Fatal(err)
	}
	if err := in.(*inputWriter).note(1); err != nil {
		t.Fatal(err)
	}
	_ = in.Close()
	if _, err := c.OpenInput(t.Context(), "report-1", "work"); !errors.Is(err, host.ErrInputUnknown) {
		t.Errorf("error %v", err)
	}
}
