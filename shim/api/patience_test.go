package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
)

// singleAnswers are the calls that have a single answer.
var singleAnswers = map[string]func(ctx context.Context, c *Client) error{
	"version":  func(ctx context.Context, c *Client) error { _, err := c.Version(ctx); return err },
	"status":   func(ctx context.Context, c *Client) error { _, err := c.Status(ctx, "web"); return err },
	"problems": func(ctx context.Context, c *Client) error { _, err := c.Problems(ctx); return err },
	"disks":    func(ctx context.Context, c *Client) error { _, err := c.Disks(ctx); return err },
	"usage":    func(ctx context.Context, c *Client) error { _, err := c.Usage(ctx); return err },
	"images":   func(ctx context.Context, c *Client) error { _, err := c.Images(ctx); return err },
	"history":  func(ctx context.Context, c *Client) error { _, err := c.History(ctx, "web"); return err },
	"diff":     func(ctx context.Context, c *Client) error { _, err := c.Compare(ctx, "web", 1, 2); return err },
	"file":     func(ctx context.Context, c *Client) error { _, err := c.File(ctx, "web", 1); return err },
	"preview":  func(ctx context.Context, c *Client) error { _, err := c.Preview(ctx, twoFiles); return err },
}

// listenSilently opens a socket on which the kernel accepts connections. answer gets each of them.
// A nil answer means that no process takes them, as when a daemon is stopped or hangs.
func listenSilently(t *testing.T, answer func(net.Conn)) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "s.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for answer != nil {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			answer(conn)
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return socket
}

func TestPatience(t *testing.T) {
	const patience = 20 * time.Millisecond
	for what, answer := range map[string]func(net.Conn){
		"takes no connection": nil,
		"reads and is silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"stops in its answer": func(c net.Conn) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
			_, _ = io.Copy(io.Discard, c)
		},
	} {
		for name, call := range singleAnswers {
			t.Run(what+", "+name, func(t *testing.T) {
				c := NewClient(listenSilently(t, answer)).WithPatience(patience)
				waited := patience
				switch name {
				case "preview":
					waited *= previewFactor
				case "usage":
					waited *= usageFactor
				}
				err := call(t.Context(), c)
				checkProblem(t, err, fmt.Sprintf("the daemon at %s has not answered within %s", c.socket, waited), seeLog)
				if errors.Is(err, context.DeadlineExceeded) {
					t.Error("the caller could take it for a deadline of its own")
				}
			})
		}
	}

	t.Run("the caller's own deadline", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		_, err := NewClient(listenSilently(t, nil)).Status(ctx, "")
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a stream", func(t *testing.T) { // may be silent for as long as its caller likes
		silence := patience
		silent := NewClient(listenSilently(t, nil))
		d := startDaemon(t, ServerConfig{Events: func(ctx context.Context, _ group.EventQuery, emit func(group.Event) error) error {
			if _, err := silent.WithPatience(silence).Problems(ctx); err == nil { // ends when the patience is over
				return errors.New("a silent daemon has answered")
			}
			return emit(group.Event{Group: "web"})
		}})
		seen := 0
		call := func() error {
			return d.WithPatience(silence).Events(t.Context(), group.EventQuery{}, func(group.Event) error { seen++; return nil })
		}
		err := call()
		for err != nil && silence < 20*time.Second { // a busy machine takes longer to begin the stream
			silence *= 10
			err = call()
		}
		if err != nil || seen != 1 {
			t.Errorf("%d events, %v", seen, err)
		}
	})
}

func TestFullQueue(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: socket}), unix.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	first, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	_, err = NewClient(socket).Status(t.Context(), "")
	checkProblem(t, err, "the daemon at "+socket+" takes no more connections", seeLog)
}

// A stranger's socket gets no request, which may hold secrets.
func TestRootRefusesSocketOfStranger(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, 0o777)); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s.sock")
	const stranger = 1000
	opened := make(chan error)
	var l net.Listener
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with its user
		keep := ^uintptr(0)
		_, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, keep, stranger, keep)
		if errno != 0 {
			opened <- errno
			return
		}
		var err error
		l, err = net.Listen("unix", socket)
		opened <- err
	}()
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err := NewClient(socket).Preview(t.Context(), twoFiles)
	checkProblem(t, err, fmt.Sprintf("what answers at %s is no daemon of root's: it belongs to uid %d", socket, stranger),
		"name the folder of a daemon of root's, with --root or --run-dir")
}
