package api

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

const seeLog = `see its log, with "journalctl -u sallyport" where it is a service; if it hangs, restart it: the groups run on meanwhile`

// ErrNoDaemon is the error for a socket that nothing listens at.
var ErrNoDaemon = errors.New("no daemon answers")

// errLost is the error for a connection that ends before the answer does.
var errLost = errors.New("the daemon closed the connection before it was done")

// ask sends a request that has a single answer, and waits for it as long as the client's patience.
func (c *Client) ask(ctx context.Context, method, path string, body, answer any) error {
	bounded, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	err := c.askFor(bounded, method, path, body, answer)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return &hint.Error{
			Err:  fmt.Errorf("the daemon at %s has not answered within %s", c.socket, c.patience),
			Hint: seeLog,
		}
	}
	return err
}

func (c *Client) askFor(ctx context.Context, method, path string, body, answer any) error {
	r, err := c.send(ctx, method, path, body, http.StatusOK)
	if err != nil {
		return err
	}
	defer r.close()
	if err := json.NewDecoder(r.Body).Decode(answer); err != nil {
		return lost(ctx, err)
	}
	return nil
}

// stream sends a request that has a stream as its answer. It calls each with every event except the
// last. What is reported of images goes to the function given to [host.WithTransfers].
func (c *Client) stream(ctx context.Context, method, path string, body any, each func(event) error) error {
	r, err := c.send(ctx, method, path, body, http.StatusOK)
	if err != nil {
		return err
	}
	defer r.close()
	return r.events(ctx, each)
}

// events calls each with every event of a stream except the last.
func (r *reply) events(ctx context.Context, each func(event) error) error {
	events := json.NewDecoder(r.Body)
	for {
		var ev event
		if err := events.Decode(&ev); err != nil {
			return lost(ctx, err)
		}
		switch {
		case ev.Error != nil:
			return ev.Error.decode()
		case ev.Done:
			return nil
		case ev.Transfer != nil:
			if report := host.Transfers(ctx); report != nil {
				report(*ev.Transfer)
			}
			continue
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}

// A reply is an answer that is being read. Each has a connection of its own: a unix socket connects
// in microseconds, no pool stays open, and errors are the kernel's.
type reply struct {
	*http.Response
	conn    net.Conn
	in      *bufio.Reader // conn
	release func() bool   // stops closing conn at the end of ctx
}

func (r *reply) close() {
	r.release()
	_ = r.conn.Close()
}

// send sends a request and returns the answer. A status other than want is an error.
func (c *Client) send(ctx context.Context, method, path string, body any, want int) (_ *reply, err error) {
	req, err := newRequest(method, path, body, want)
	if err != nil {
		return nil, err
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, lost(ctx, err)
	}
	r := &reply{conn: conn, in: bufio.NewReaderSize(conn, chunk)}
	r.release = context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	// A daemon that refuses a request may answer and disconnect before it has read all of it. Then
	// the answer counts.
	sent := req.Write(conn)
	if r.Response, err = http.ReadResponse(r.in, req); err != nil {
		return nil, lost(ctx, cmp.Or(sent, err))
	}
	if r.StatusCode != want {
		return nil, readError(r.Response)
	}
	return r, nil
}

func newRequest(method, path string, body any, want int) (*http.Request, error) {
	content, streamed := body.(io.Reader) // such as an archive of any size
	if body != nil && !streamed {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		if len(data) > maxBody {
			return nil, &hint.Error{
				Err:  fmt.Errorf("the group files and the files that they name make a request of %d MiB; the daemon accepts %d MiB", len(data)>>20, maxBody>>20),
				Hint: "apply fewer files at a time, or put large files into an image",
			}
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, "http://sallyport"+path, content)
	if err != nil {
		return nil, fmt.Errorf("write the request: %w", err)
	}
	if want == http.StatusSwitchingProtocols {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", protocolOf(path))
	} else {
		req.Close = true
	}
	return req, nil
}

// protocolOf returns the protocol that a connection is upgraded to.
func protocolOf(path string) string {
	if path == runsPath || path == lockedRunsPath {
		return runProtocol
	}
	return execProtocol
}

// readError returns the error in an answer.
func readError(resp *http.Response) error {
	var body errorBody
	err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body)
	if err != nil || body.Error.Message == "" {
		return fmt.Errorf("the daemon answers %q without a reason", resp.Status)
	}
	return body.Error.decode()
}

// dial connects to the daemon. Its errors have a hint.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	switch {
	case err == nil:
		if err := c.checkServer(conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	case errors.Is(err, unix.EAGAIN): // unix(7): the queue of the socket is full
		return nil, &hint.Error{
			Err:  fmt.Errorf("the daemon at %s takes no more connections", c.socket),
			Hint: seeLog,
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, &hint.Error{
			Err:  fmt.Errorf("%w at %s", ErrNoDaemon, c.socket),
			Hint: `start it: "sallyport daemon" as root, or "systemctl start sallyport" where it is a service`,
		}
	case errors.Is(err, fs.ErrPermission):
		return nil, notAdmitted(c.socket)
	}
	return nil, fmt.Errorf("reach the daemon: %w", err)
}

// checkServer refuses a socket of another user than root or our own. A stranger's could be in a
// folder that he has prepared, and a group file may hold secrets.
func (c *Client) checkServer(conn net.Conn) error {
	server, err := newPeer(conn.(*net.UnixConn)) // the process that called listen
	if err != nil {
		return fmt.Errorf("find out whose daemon it is: %w", err)
	}
	if uid := server.uid; uid != 0 && uid != uint32(os.Geteuid()) {
		return &hint.Error{
			Err:  fmt.Errorf("what answers at %s is no daemon of root's: it belongs to uid %d", c.socket, uid),
			Hint: "name the folder of a daemon of root's, with --root or --run-dir",
		}
	}
	return nil
}

// lost returns the error for a request whose answer is missing or incomplete.
func lost(ctx context.Context, err error) error {
	var problem *hint.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &problem):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		return &hint.Error{
			Err:  errLost,
			Hint: `what was installed stays installed; see "sallyport ps" when the daemon is back`,
		}
	}
	return fmt.Errorf("read the daemon's answer: %w", err)
}
