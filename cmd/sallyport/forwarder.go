package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// An ambassadorDialer connects to the ambassador of a group, and to nothing else.
type ambassadorDialer interface {
	DialAmbassador(ctx context.Context, group string, port uint16) (net.Conn, error)
}

// A forwarder forwards for the control socket, and records each begin and end.
type forwarder struct {
	door   ambassadorDialer
	record func(group.Event)
}

// Begin connects to each port once, so that a wrong one is refused at once.
func (f forwarder) Begin(ctx context.Context, req api.ForwardRequest) (end func(), err error) {
	var ways []string
	for _, p := range req.Ports {
		conn, err := f.door.DialAmbassador(ctx, req.Group, p.Port)
		if err != nil {
			return nil, err
		}
		conn.Close()
		ways = append(ways, fmt.Sprintf("127.0.0.1:%d to port %d of the ambassador", p.Local, p.Port))
	}
	event := func(does string) {
		f.record(group.Event{Group: req.Group, Kind: group.EventForward, Text: fmt.Sprintf("%s %s %s", req.Caller, does, strings.Join(ways, ", "))})
	}
	event("forwards")
	return func() { event("no longer forwards") }, nil
}

func (f forwarder) Dial(ctx context.Context, group string, port uint16) (net.Conn, error) {
	return f.door.DialAmbassador(ctx, group, port)
}
