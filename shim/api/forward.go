package api

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// A ForwardPort is a port of the caller's loopback, and the port of the ambassador that it leads
// to. The command prints its JSON, too.
type ForwardPort struct {
	Local uint16 `json:"local"`
	Port  uint16 `json:"port"`
}

// A ForwardRequest asks for forwarding to the ambassador of a group.
type ForwardRequest struct {
	Group  string        `json:"group"`
	Ports  []ForwardPort `json:"ports"`
	Caller Caller        `json:"-"` // set by the server
}

// A Forwarder connects to the ambassadors of groups, and to nothing else.
type Forwarder interface {
	// Begin refuses a port at which not the ambassador listens. Otherwise it records that
	// forwarding begins, and end that it ends.
	Begin(ctx context.Context, req ForwardRequest) (end func(), err error)
	Dial(ctx context.Context, group string, port uint16) (net.Conn, error)
}

// maxForwarded is how many connections one forwarding may have at a time.
const maxForwarded = 128

// forwards are the forwardings of a server, by their ids. A connection needs one that goes on, so
// that none is made which no event has.
type forwards struct {
	mu  sync.Mutex
	all map[string]*forwarding
}

type forwarding struct {
	ForwardRequest
	ctx  context.Context // ends with it
	room chan struct{}   // holds a token for each connection
}

// Forward asks for forwarding until ctx ends. It calls ready, once, with the id that connections
// need. It returns nil if ctx has ended.
func (c *Client) Forward(ctx context.Context, req ForwardRequest, ready func(id string)) error {
	if err := checkNames(req.Group); err != nil {
		return err
	}
	err := c.inSession(ctx, "/v1/forward", req, host.ExecRequest{Stdout: idFunc(ready)})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type idFunc func(id string)

func (f idFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

// ForwardConn joins a connection to the ambassador's port, until one of both ends. It does not
// close conn, whose Read may go on.
func (c *Client) ForwardConn(ctx context.Context, id string, port uint16, conn io.ReadWriter) error {
	return c.inSession(ctx, "/v1/forward/"+id+"/"+strconv.Itoa(int(port)), nil, host.ExecRequest{Stdin: conn, Stdout: conn})
}

// inSession sends a request for a session, and returns the session's error.
func (c *Client) inSession(ctx context.Context, path string, body any, streams host.ExecRequest) error {
	r, err := c.send(ctx, http.MethodPost, path, body, http.StatusSwitchingProtocols)
	if err != nil {
		return err
	}
	session := &terminal{req: streams, frames: &frameWriter{w: r.conn}, credit: newCredit(window)}
	end := session.start()
	_, done, err := session.read(r.in)
	r.close()
	end()
	if !done && err != nil {
		return lost(ctx, err)
	}
	return err
}

// forward upgrades the connection, and forwards until the client disconnects.
func (s *Server) forward(w http.ResponseWriter, r *http.Request) {
	var req ForwardRequest
	err := readJSON(r, &req)
	if err == nil {
		err = checkUpgrade(r, "forward")
	}
	if err == nil {
		err = checkNames(req.Group)
	}
	if err == nil && len(req.Ports) == 0 {
		err = &badRequest{errors.New("forward needs a port"), http.StatusBadRequest}
	}
	if err == nil && s.Forward == nil {
		err = errors.New("this daemon forwards no ports")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	req.Caller = callerOf(r)
	s.session(w, r, "forward", req.Group, "", fmt.Sprint(req.Ports), func(ctx context.Context, frames *frameWriter, _ *keyboard) (uint32, error) {
		end, err := s.Forward.Begin(ctx, req)
		if err != nil {
			return 0, err
		}
		defer end()
		id := rand.Text()
		s.forwards.put(id, &forwarding{req, ctx, make(chan struct{}, maxForwarded)})
		defer s.forwards.drop(id)
		if err := frames.write(frameStdout, []byte(id)); err != nil {
			return 0, err
		}
		<-ctx.Done()
		return 0, ctx.Err()
	})
}

func (f *forwards) put(id string, one *forwarding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[string]*forwarding{}
	}
	f.all[id] = one
}

func (f *forwards) drop(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, id)
}

// find returns the forwarding that a connection asks for.
func (f *forwards) find(id, port string) (*forwarding, uint16, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	one := f.all[id]
	number, err := strconv.ParseUint(port, 10, 16)
	if err == nil && one != nil {
		for _, p := range one.Ports {
			if uint64(p.Port) == number {
				return one, p.Port, nil
			}
		}
	}
	return nil, 0, &badRequest{errors.New("nothing is forwarded there, or no longer"), http.StatusNotFound}
}

// forwardConn upgrades the connection, and joins it to the ambassador's port.
func (s *Server) forwardConn(w http.ResponseWriter, r *http.Request) {
	one, port, err := s.forwards.find(r.PathValue("id"), r.PathValue("port"))
	if err == nil {
		err = checkUpgrade(r, "forward")
	}
	if err != nil {
		writeError(w, err)
		return
	}
	s.session(w, r, "forward a connection", one.Group, "", strconv.Itoa(int(port)), func(ctx context.Context, frames *frameWriter, k *keyboard) (uint32, error) {
		select {
		case one.room <- struct{}{}:
			defer func() { <-one.room }()
		default:
			return 0, &hint.Error{Err: fmt.Errorf("%d connections are forwarded already", maxForwarded), Hint: "close some"}
		}
		conn, err := s.Forward.Dial(ctx, one.Group, port)
		if err != nil {
			return 0, err
		}
		return 0, join(ctx, one.ctx, conn, k.stdin, output{frames, frameStdout})
	})
}

// join copies both ways until the ambassador's side ends or one of the contexts does. The end of
// the input is passed on.
func join(ctx, forwarding context.Context, conn net.Conn, in io.Reader, out io.Writer) error {
	for _, end := range []context.Context{ctx, forwarding} {
		stop := context.AfterFunc(end, func() { _ = conn.Close() })
		defer stop()
	}
	var sending sync.WaitGroup
	sending.Go(func() {
		_, err := io.Copy(conn, in)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && err == nil {
			_ = half.CloseWrite()
		}
	})
	_, err := io.Copy(out, conn)
	_ = conn.Close()
	if closer, ok := in.(*inbox); ok {
		closer.close(io.EOF) // ends the sending
	}
	sending.Wait()
	if ctx.Err() != nil || forwarding.Err() != nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
