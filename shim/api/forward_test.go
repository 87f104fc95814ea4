package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

// A fakeForwarder stands for an ambassador that greets each caller with its first line, at port 80.
type fakeForwarder struct {
	begun chan ForwardRequest
	ended chan struct{}
}

func (f fakeForwarder) Begin(_ context.Context, req ForwardRequest) (func(), error) {
	if req.Ports[0].Port != 80 {
		return nil, errors.New("not the ambassador's")
	}
	f.begun <- req
	return func() { close(f.ended) }, nil
}

func (f fakeForwarder) Dial(_ context.Context, group string, port uint16) (net.Conn, error) {
	if group != "checkout" || port != 80 {
		return nil, fmt.Errorf("asked for %s %d", group, port)
	}
	near, far := net.Pipe()
	go func() {
		line, _ := bufio.NewReader(far).ReadString('\n')
		_, _ = io.WriteString(far, "hello "+line)
		_, _ = io.Copy(io.Discard, far) // until the other side hangs up
		far.Close()
	}()
	return near, nil
}

// duplex is a connection of a caller, that reads one end and writes the other.
type duplex struct {
	io.Reader
	io.Writer
}

func TestForward(t *testing.T) {
	f := fakeForwarder{make(chan ForwardRequest, 1), make(chan struct{})}
	d := startDaemon(t, ServerConfig{Forward: f})
	want := ForwardRequest{Group: "checkout", Ports: []ForwardPort{{8080, 80}}}
	ctx, cancel := context.WithCancel(t.Context())
	ids, done := make(chan string, 1), make(chan error, 1)
	go func() { done <- d.Forward(ctx, want, func(id string) { ids <- id }) }()
	id := receive(t, "the id", ids)
	want.Caller = Caller{uint32(os.Geteuid()), true}
	if diff := cmp.Diff(want, receive(t, "the begin", f.begun)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	keys, typed := io.Pipe()
	seen, screen := io.Pipe()
	joined := make(chan error, 1)
	go func() { joined <- d.ForwardConn(t.Context(), id, 80, duplex{keys, screen}) }()
	if _, err := io.WriteString(typed, "you\n"); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(seen).ReadString('\n'); line != "hello you\n" {
		t.Fatalf("%q, %v", line, err)
	}
	for _, port := range []uint16{81, 8080} {
		if err := d.ForwardConn(t.Context(), id, port, duplex{keys, screen}); err == nil || err.Error() != "nothing is forwarded there, or no longer" {
			t.Errorf("port %d: %v", port, err)
		}
	}
	// The end of the forwarding ends its connections, and there are no new ones.
	cancel()
	if err := receive(t, "the end", done); err != nil {
		t.Error(err)
	}
	receive(t, "the end at the daemon", f.ended)
	if err := receive(t, "the end of the connection", joined); err != nil {
		t.Error(err)
	}
	_ = typed.Close()
	if err := d.ForwardConn(t.Context(), id, 80, duplex{keys, screen}); err == nil {
		t.Error("a connection of a forwarding that has ended")
	}
}

func TestForwardErrors(t *testing.T) {
	d := startDaemon(t, ServerConfig{Forward: fakeForwarder{}})
	ready := func(string) { t.Error("it was forwarded") }
	checkProblem(t, d.Forward(t.Context(), ForwardRequest{Group: "checkout", Ports: []ForwardPort{{1, 22}}}, ready), "not the ambassador's", "")
	checkProblem(t, d.Forward(t.Context(), ForwardRequest{Group: "checkout"}, ready), "forward needs a port", "")
	if err := d.Forward(t.Context(), ForwardRequest{Group: "../x"}, ready); !errors.Is(err, group.ErrNoGroup) {
		t.Error(err)
	}
	none := startDaemon(t, ServerConfig{})
	checkProblem(t, none.Forward(t.Context(), ForwardRequest{Group: "checkout", Ports: []ForwardPort{{1, 22}}}, ready), "this daemon forwards no ports", "")
}
