package api

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/shim/host"
)

// Exec runs a process in a running container and returns its exit status. The end of ctx ends the
// process. An error of req.Stdin counts as its end. If a Read of req.Stdin blocks after the process
// has ended, its goroutine stays, because a Read of an idle terminal can't be interrupted.
func (c *Client) Exec(ctx context.Context, req host.ExecRequest) (status uint32, err error) {
	if err := checkNames(req.Group, req.Container); err != nil {
		return 0, err
	}
	path := "/v1/exec"
	if req.User != "" || len(req.Env) > 0 || req.WorkDir != "" || req.Timeout != 0 {
		path = "/v1/exec/as" // a daemon that doesn't know these fields must not ignore them
	}
	r, err := c.send(ctx, http.MethodPost, path, execBody{
		Group: req.Group, Container: req.Container, Args: req.Args, TTY: req.TTY, Stdin: req.Stdin != nil,
		User: req.User, Env: req.Env, WorkDir: req.WorkDir, Timeout: req.Timeout,
	}, http.StatusSwitchingProtocols)
	if err != nil {
		return 0, err
	}
	terminal := &terminal{req: req, frames: &frameWriter{w: r.conn}, credit: newCredit(window)}
	end := terminal.start()
	status, done, err := terminal.read(r.in)
	r.close()
	end()
	if !done && err != nil {
		err = lost(ctx, err)
	}
	return status, err
}

// A terminal is the client's side of a session.
type terminal struct {
	req    host.ExecRequest
	frames *frameWriter
	credit *credit
}

// start sends input and sizes from goroutines of its own, and returns a function that ends them.
// Their errors are ignored, because read sees a broken connection too.
func (t *terminal) start() (end func()) {
	if t.req.Stdin != nil {
		go t.sendInput()
	}
	ended := make(chan struct{})
	var resizing sync.WaitGroup
	if t.req.Resize != nil {
		resizing.Go(func() { t.sendSizes(ended) })
	}
	return func() {
		close(ended)
		t.credit.close()
		resizing.Wait()
	}
}

func (t *terminal) sendInput() {
	buf := make([]byte, chunk)
	for {
		granted := t.credit.wait()
		if granted == 0 {
			return
		}
		n, err := t.req.Stdin.Read(buf[:min(granted, len(buf))])
		if n > 0 {
			t.credit.add(-n)
			if t.frames.write(frameStdin, buf[:n]) != nil {
				return
			}
		}
		if err != nil {
			_ = t.frames.write(frameStdinEnd, nil)
			return
		}
	}
}

func (t *terminal) sendSizes(ended <-chan struct{}) {
	for {
		select {
		case size, ok := <-t.req.Resize:
			if !ok {
				return
			}
			payload := binary.BigEndian.AppendUint16(nil, size.Width)
			if t.frames.write(frameResize, binary.BigEndian.AppendUint16(payload, size.Height)) != nil {
				return
			}
		case <-ended:
			return
		}
	}
}

// read handles the daemon's frames until the last one. done reports whether err is from the daemon
// or from a writer of req, rather than from the connection.
func (t *terminal) read(in io.Reader) (status uint32, done bool, err error) {
	frames := frameReader{r: in}
	for {
		kind, payload, err := frames.next()
		if err != nil {
			return 0, false, err
		}
		switch kind {
		case frameStdout:
			err = show(t.req.Stdout, payload)
		case frameStderr:
			err = show(t.req.Stderr, payload)
		case frameGrant:
			var n uint32
			if n, err = parseNumber(payload); err == nil {
				t.credit.add(int(n))
			}
		case frameExit:
			status, err = parseNumber(payload)
			return status, true, err
		case frameError:
			var e wireError
			if err := json.Unmarshal(payload, &e); err != nil {
				return 0, true, fmt.Errorf("%w: %w", errFrame, err)
			}
			return 0, true, e.decode()
		}
		if err != nil {
			return 0, true, err
		}
	}
}

func show(w io.Writer, p []byte) error {
	if w == nil {
		return nil
	}
	if _, err := w.Write(p); err != nil {
		return fmt.Errorf("write the process's output: %w", err)
	}
	return nil
}
