package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// execOf returns a request for the container that every fake has.
func execOf(args ...string) host.ExecRequest {
	return host.ExecRequest{Group: "checkout", Container: "web", Args: args}
}

func execDaemon(t *testing.T, process execFunc) *daemon {
	return startDaemon(t, ServerConfig{Exec: process})
}

func TestExec(t *testing.T) {
	for _, tt := range []struct {
		name    string
		stdin   io.Reader
		tty     bool
		process execFunc
		status  uint32
		out     string
		errOut  string
	}{
		{"request", nil, true, func(_ context.Context, r host.ExecRequest) (uint32, error) {
			fmt.Fprintln(r.Stdout, r.Group, r.Container, r.Args, r.TTY, r.Stdin == nil)
			return 0, nil
		}, 0, "checkout web [sh -c x] true true\n", ""},
		{"status and both outputs", nil, false, func(_ context.Context, r host.ExecRequest) (uint32, error) {
			fmt.Fprint(r.Stdout, "out")
			fmt.Fprint(r.Stderr, "err")
			return 255, nil
		}, 255, "out", "err"},
		{"input to its end", strings.NewReader("hello"), false, func(_ context.Context, r host.ExecRequest) (uint32, error) {
			n, err := io.Copy(r.Stdout, r.Stdin)
			return uint32(n), err
		}, 5, "hello", ""},
		{"no input", strings.NewReader(""), false, func(_ context.Context, r host.ExecRequest) (uint32, error) {
			n, err := io.Copy(r.Stdout, r.Stdin)
			return uint32(n), err
		}, 0, "", ""},
		{"input that is not read", strings.NewReader(strings.Repeat("x", 1<<20)), false, func(context.Context, host.ExecRequest) (uint32, error) {
			return 3, nil
		}, 3, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := execDaemon(t, tt.process)
			req := execOf("sh", "-c", "x")
			var out, errOut bytes.Buffer
			req.Stdin, req.TTY, req.Stdout, req.Stderr = tt.stdin, tt.tty, &out, &errOut
			status, err := d.Exec(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			want, got := []any{tt.status, tt.out, tt.errOut}, []any{status, out.String(), errOut.String()}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("status, output, error output (-want +got):\n%s", diff)
			}
		})
	}
}

// What is asked for reaches the process, also what earlier daemons don't know.
func TestExecAs(t *testing.T) {
	req := execOf("id")
	req.User, req.Env, req.WorkDir, req.Timeout = "web:www", []string{"A=b c", "N="}, "/srv", 1500*time.Millisecond
	d := execDaemon(t, func(_ context.Context, got host.ExecRequest) (uint32, error) {
		if diff := cmp.Diff([]any{req.User, req.Env, req.WorkDir, req.Timeout}, []any{got.User, got.Env, got.WorkDir, got.Timeout}); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		return 0, fmt.Errorf("id: %w", host.ErrTimedOut)
	})
	if _, err := d.Exec(t.Context(), req); !errors.Is(err, host.ErrTimedOut) {
		t.Errorf("%v, want %v", err, host.ErrTimedOut)
	}
	until(t, "it is logged", func() bool { return strings.Contains(d.log.String(), "exec") })
}

func TestExecErrors(t *testing.T) {
	hinted := &hint.Error{Err: errors.New("web is not running"), Hint: "see its output"}
	for _, tt := range []struct {
		name       string
		fail       error
		req        host.ExecRequest
		want, hint string
		is         error
	}{
		{"with a hint", hinted, execOf("id"), "web is not running", "see its output", nil},
		{"no container", group.ErrNoContainer, execOf("id"), `container "web" of group "checkout": no such container`, `"sallyport status checkout" lists its containers`, group.ErrNoContainer},
		{"a long one", errors.New(strings.Repeat("\x00", 1<<20)), execOf("id"), strings.Repeat("\x00", maxFrame/16), "", nil},
		{"no command", nil, execOf(), "exec needs a command", "", nil},
		{"no such name", nil, host.ExecRequest{Group: "checkout", Args: []string{"id"}}, `container "" of group "checkout": no such container`, `"sallyport status checkout" lists its containers`, group.ErrNoContainer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := execDaemon(t, func(context.Context, host.ExecRequest) (uint32, error) { return 0, tt.fail })
			_, err := d.Exec(t.Context(), tt.req)
			checkProblem(t, err, tt.want, tt.hint)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
		})
	}
	t.Run("a panic", func(t *testing.T) {
		d := execDaemon(t, func(context.Context, host.ExecRequest) (uint32, error) { panic("oh no") })
		_, err := d.Exec(t.Context(), execOf("id"))
		checkProblem(t, err, "bug in the daemon: oh no", "the daemon's log has the details; please report them")
	})
}

// It sends 16 MiB in both directions, far more than all buffers on the way hold.
func TestExecBothWaysAtOnce(t *testing.T) {
	d := execDaemon(t, func(_ context.Context, r host.ExecRequest) (uint32, error) {
		_, err := io.Copy(r.Stdout, r.Stdin)
		return 0, err
	})
	const size = 16 << 20
	source := func() io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{}), size) }
	want, got := sha256.New(), sha256.New()
	_, _ = io.Copy(want, source())
	req := execOf("cat")
	req.Stdin, req.Stdout = source(), got
	if _, err := d.Exec(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want.Sum(nil), got.Sum(nil)) {
		t.Error("the output differs from the input")
	}
}

// A new size of the terminal must reach a process that reads no input, although much input waits.
func TestExecResizeBehindInput(t *testing.T) {
	want := host.WinSize{Width: 200, Height: 50}
	d := execDaemon(t, func(ctx context.Context, r host.ExecRequest) (uint32, error) {
		for {
			select {
			case size := <-r.Resize:
				if size == want {
					return 0, nil
				}
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}
	})
	req := execOf("vi")
	sizes := make(chan host.WinSize)
	sent := make(chan struct{})
	req.TTY, req.Resize = true, sizes
	req.Stdin = io.MultiReader(strings.NewReader(strings.Repeat("x", window-1)), readerFunc(func() { close(sent) }), strings.NewReader(strings.Repeat("x", window)))
	go func() {
		<-sent // one byte of the window is left, and more input waits
		sizes <- host.WinSize{Width: 80, Height: 24}
		sizes <- want
	}()
	if _, err := d.Exec(t.Context(), req); err != nil {
		t.Error(err)
	}
}

// A readerFunc is an empty reader that calls itself when it is read.
type readerFunc func()

func (f readerFunc) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

// A session keeps only the latest size, however many came before the process took one.
func TestExecLatestSize(t *testing.T) {
	k := newKeyboard(func(int) {})
	for _, payload := range []string{"\x00\x01\x00\x01", "\x00\x02\x00\x02", "\x00\x50\x00\x18"} {
		if err := k.take(frameResize, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := <-k.resize, (host.WinSize{Width: 80, Height: 24}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := k.take(frameResize, []byte("x")); !errors.Is(err, errFrame) {
		t.Errorf("a size of one byte: %v", err)
	}
}

func TestExecClientVanishes(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	d := execDaemon(t, func(ctx context.Context, r host.ExecRequest) (uint32, error) {
		close(began)
		<-ctx.Done()
		_, read := io.Copy(io.Discard, r.Stdin)
		ended <- errors.Join(context.Cause(ctx), read)
		return 0, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	typing, keys := io.Pipe() // a terminal without any input
	go func() {
		req := execOf("sleep")
		req.Stdin = typing
		_, err := d.Exec(ctx, req)
		answered <- err
	}()
	receive(t, "the process", began)
	cancel()
	if err := receive(t, "the client", answered); !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v, want context.Canceled", err)
	}
	err := receive(t, "the end of the process", ended)
	if !errors.Is(err, errGone) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("process: ended by %v, want %v, and input cut off", err, errGone)
	}
	_ = keys.Close()
}

// The process writes until its client, which has stopped reading, disconnects.
func TestExecClientVanishesWhileItIsWrittenTo(t *testing.T) {
	ended := make(chan error, 1)
	d := execDaemon(t, func(_ context.Context, r host.ExecRequest) (_ uint32, err error) {
		for err == nil {
			_, err = r.Stdout.Write(make([]byte, 1<<20))
		}
		ended <- err
		return 0, err
	})
	full := errors.New("disk full")
	req := execOf("yes")
	req.Stdout = writerFunc(func([]byte) (int, error) { return 0, full })
	if _, err := d.Exec(t.Context(), req); !errors.Is(err, full) {
		t.Errorf("client: %v, want %v", err, full)
	}
	receive(t, "the end of the process", ended)
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestExecSlowReader(t *testing.T) {
	const size = 4 << 20
	written := make(chan struct{})
	d := execDaemon(t, func(_ context.Context, r host.ExecRequest) (uint32, error) {
		defer close(written)
		_, err := r.Stdout.Write(make([]byte, size))
		return 0, err
	})
	got := 0
	req := execOf("dump")
	req.Stdout = writerFunc(func(p []byte) (int, error) {
		if got == 0 {
			select {
			case <-written:
				t.Error("the process had written everything before the client read: where is it buffered?")
			default:
			}
		}
		got += len(p)
		return len(p), nil
	})
	if _, err := d.Exec(t.Context(), req); err != nil || got != size {
		t.Errorf("got %d bytes of %d, %v", got, size, err)
	}
}

func TestExecDaemonStops(t *testing.T) {
	began := make(chan struct{})
	d := execDaemon(t, func(ctx context.Context, _ host.ExecRequest) (uint32, error) {
		close(began)
		<-ctx.Done()
		return 0, ctx.Err()
	})
	answered := make(chan error, 1)
	go func() {
		_, err := d.Exec(t.Context(), execOf("sleep"))
		answered <- err
	}()
	receive(t, "the process", began)
	d.stop()
	checkProblem(t, receive(t, "the client", answered), errStopping.Error(), errStopping.Hint)
}

// A client that sends more input than it was granted is disconnected.
func TestExecFlood(t *testing.T) {
	ended := make(chan error, 1)
	d := execDaemon(t, func(ctx context.Context, _ host.ExecRequest) (uint32, error) {
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return 0, ctx.Err()
	})
	const body = `{"group":"web","container":"app","args":["x"],"stdin":true}`
	conn := request(t, d.socket, fmt.Sprintf("POST /v1/exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\nContent-Length: %d\r\n\r\n%s",
		execProtocol, len(body), body))
	if _, err := conn.Read(make([]byte, 12)); err != nil { // frames may follow from here
		t.Fatal(err)
	}
	frames := &frameWriter{w: conn}
	for err := error(nil); err == nil; {
		err = frames.write(frameStdin, make([]byte, chunk))
	}
	if err := receive(t, "the end of the process", ended); !errors.Is(err, errFrame) {
		t.Errorf("ended by %v, want %v", err, errFrame)
	}
}
