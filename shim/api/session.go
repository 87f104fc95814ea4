package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// exec upgrades the connection to a session of frames and runs the process in it.
func (s *Server) exec(w http.ResponseWriter, r *http.Request) {
	var body execBody
	err := readJSON(r, &body)
	if err == nil {
		err = checkExec(r, body)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	s.session(w, r, "exec", body.Group, body.Container, body.Args[0], // without the arguments, which may hold secrets
		func(ctx context.Context, frames *frameWriter, k *keyboard) (status uint32, err error) {
			req := host.ExecRequest{
				Group: body.Group, Container: body.Container, Args: body.Args, TTY: body.TTY,
				User: body.User, Env: body.Env, WorkDir: body.WorkDir, Timeout: body.Timeout,
				Stdout: output{frames, frameStdout}, Stderr: output{frames, frameStderr}, Resize: k.resize,
			}
			if body.Stdin {
				req.Stdin = k.stdin
			}
			return s.Exec.Exec(ctx, req)
		})
}

// A sessionFunc does the work of a session. Its results are the session's outcome.
type sessionFunc func(ctx context.Context, frames *frameWriter, k *keyboard) (status uint32, err error)

// session upgrades the connection and does the work in it. what and detail are for the log.
func (s *Server) session(w http.ResponseWriter, r *http.Request, what, groupName, container, detail string, work sessionFunc) {
	s.upgrade(w, execProtocol, func(conn net.Conn, in io.Reader) {
		begun := time.Now()
		err := s.runSession(r, conn, in, groupName, container, work)
		s.Log.Info("control socket", "request", what, "group", groupName, "container", container,
			"command", detail, "took", time.Since(begun).Round(time.Millisecond), "error", err)
	})
}

// upgrade takes the connection of a request over and answers that it has the protocol from now on.
// Then it calls serve with what the client sends, and closes the connection.
func (s *Server) upgrade(w http.ResponseWriter, protocol string, serve func(conn net.Conn, in io.Reader)) {
	s.sessions.Add(1)
	defer s.sessions.Done()
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.Log.Error("control socket: take over a connection", "protocol", protocol, "error", err)
		return
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+protocol+"\r\n\r\n"); err != nil {
		return
	}
	serve(conn, unbuffer(buffered.Reader, conn))
}

// unbuffer returns a reader of the bytes that net/http had already read from conn, followed by conn
// itself. net/http's own reader is of no use: at the end of conn it would cancel the request
// without a cause.
func unbuffer(buffered *bufio.Reader, conn net.Conn) io.Reader {
	early, _ := buffered.Peek(buffered.Buffered()) // all buffered, so no error
	return bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), conn), chunk)
}

// checkUpgrade refuses a request that does not ask for a session.
func checkUpgrade(r *http.Request, what string) error {
	if r.Header.Get("Upgrade") != execProtocol {
		return &badRequest{errors.New(what + " needs a connection that is upgraded to " + execProtocol), http.StatusUpgradeRequired}
	}
	return nil
}

func checkExec(r *http.Request, body execBody) error {
	if err := checkUpgrade(r, "exec"); err != nil {
		return err
	}
	if err := checkNames(body.Group, body.Container); err != nil {
		return err
	}
	if len(body.Args) == 0 {
		return &badRequest{errors.New("exec needs a command"), http.StatusBadRequest}
	}
	return nil
}

// runSession works until it is done or the client disconnects, and sends the outcome to the client.
func (s *Server) runSession(r *http.Request, conn net.Conn, in io.Reader, groupName, container string, work sessionFunc) error {
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	// A stopping daemon does not wait for clients that don't read. The rest of the output may be
	// lost.
	stop := context.AfterFunc(r.Context(), func() { _ = conn.SetDeadline(time.Now().Add(drainTimeout)) })
	defer stop()

	frames := &frameWriter{w: conn}
	keyboard := newKeyboard(func(n int) { _ = frames.write(frameGrant, number(uint32(n))) })
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		cancel(fmt.Errorf("%w: %w", errGone, keyboard.read(in)))
	}()

	var status uint32
	err := s.guard(r, func() (err error) {
		status, err = work(ctx, frames, keyboard)
		return err
	})
	err = about(because(ctx, err), groupName, container)
	if err == nil {
		_ = frames.write(frameExit, number(status))
	} else {
		_ = frames.write(frameError, encodeFrameError(err))
	}
	_ = conn.Close() // ends keyboard.read
	<-gone
	return err
}

// encodeFrameError shortens a message that is too long for a frame.
func encodeFrameError(err error) []byte {
	e := encodeError(err)
	const most = maxFrame / 16 // JSON may need six bytes for one
	e.Message, e.Hint = e.Message[:min(len(e.Message), most)], e.Hint[:min(len(e.Hint), most)]
	data, _ := json.Marshal(e) // marshalling strings can't fail
	return data
}

// A keyboard is the client's side of a process: its input and the sizes of its terminal.
type keyboard struct {
	stdin  *inbox
	resize chan host.WinSize // holds the latest; closed at the end
}

func newKeyboard(grant func(n int)) *keyboard {
	return &keyboard{stdin: newInbox(grant), resize: make(chan host.WinSize, 1)}
}

// read handles the client's frames until the client disconnects. It returns the reason, never nil.
func (k *keyboard) read(in io.Reader) (err error) {
	defer func() {
		k.stdin.close(io.ErrUnexpectedEOF)
		close(k.resize)
	}()
	frames := frameReader{r: in}
	for {
		kind, payload, err := frames.next()
		if err == nil {
			err = k.take(kind, payload)
		}
		if err != nil {
			return err
		}
	}
}

func (k *keyboard) take(kind frameType, payload []byte) error {
	switch kind {
	case frameStdin:
		return k.stdin.put(payload)
	case frameStdinEnd:
		k.stdin.close(io.EOF)
	case frameResize:
		if len(payload) != 4 {
			return fmt.Errorf("%w: a size of %d bytes", errFrame, len(payload))
		}
		select {
		case <-k.resize: // an older size that was not taken
		default:
		}
		k.resize <- host.WinSize{Width: binary.BigEndian.Uint16(payload), Height: binary.BigEndian.Uint16(payload[2:])}
	}
	return nil
}
