package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
)

type portForwardVerb struct {
	Group string   `arg:"" help:"The group."`
	Ports []string `arg:"" name:"[local:]port" help:"A TCP port at which the ambassador listens, with the port of 127.0.0.1 that leads to it (default the same; 0 is any free one)."`
	JSON  bool     `name:"json" help:"Print JSON."`
}

// parsePort reads [LOCAL:]PORT.
func parsePort(text string) (p api.ForwardPort, err error) {
	local, port, both := strings.Cut(text, ":")
	if !both {
		port = local
	}
	to, portErr := strconv.ParseUint(port, 10, 16)
	from, localErr := strconv.ParseUint(local, 10, 16)
	if errors.Join(portErr, localErr) != nil || to == 0 {
		return p, usage(fmt.Errorf("%q is not [LOCAL:]PORT", text), "such as 8080, or 18080:8080; ports are 1 to 65535")
	}
	return api.ForwardPort{Local: uint16(from), Port: uint16(to)}, nil
}

// Run forwards until ctx ends, which is no failure.
func (v *portForwardVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	req := api.ForwardRequest{Group: v.Group}
	for _, text := range v.Ports {
		p, err := parsePort(text)
		if err != nil {
			return err
		}
		req.Ports = append(req.Ports, p)
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	groups, err := client.Status(ctx, v.Group)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if isDown(g) {
			return &hint.Error{Err: fmt.Errorf("group %s is %s", g.Name, g.State), Hint: "sallyport start " + g.Name}
		}
	}
	listeners := make([]net.Listener, len(req.Ports))
	defer func() {
		for _, l := range listeners {
			if l != nil {
				l.Close()
			}
		}
	}()
	for i, p := range req.Ports {
		if listeners[i], err = net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(p.Local)))); err != nil {
			return localProblem(p, err)
		}
		req.Ports[i].Local = uint16(listeners[i].Addr().(*net.TCPAddr).Port)
	}
	f := &portForwards{ui: ui, client: client}
	defer f.all.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, func() {
		for _, l := range listeners {
			l.Close()
		}
	})
	return client.Forward(ctx, req, func(id string) {
		v.tell(ui, req)
		for i, l := range listeners {
			f.all.Go(func() { f.serve(ctx, id, l, req.Ports[i]) })
		}
	})
}

func (v *portForwardVerb) tell(ui *ui, req api.ForwardRequest) {
	if v.JSON {
		_ = ui.json(req) // a reader that is gone ends nothing
		return
	}
	for _, p := range req.Ports {
		fmt.Fprintf(ui.out, "127.0.0.1:%d leads to port %d of the ambassador of %s, until Ctrl-C\n", p.Local, p.Port, v.Group)
	}
}

func localProblem(p api.ForwardPort, err error) error {
	advice := ""
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		advice = fmt.Sprintf("choose another, such as 0:%d for any free one", p.Port)
	case errors.Is(err, unix.EACCES):
		advice = fmt.Sprintf("choose one from 1024 on, such as %d:%d", 8000+p.Port%1000, p.Port)
	}
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		err = errno
	}
	return &hint.Error{Err: fmt.Errorf("listen at 127.0.0.1:%d: %w", p.Local, err), Hint: advice}
}

// portForwards serve the connections of one command.
type portForwards struct {
	client *api.Client
	all    sync.WaitGroup // listeners and connections

	mu sync.Mutex
	ui *ui
}

// serve joins each connection to the ambassador, until the listener is closed.
func (f *portForwards) serve(ctx context.Context, id string, l net.Listener, p api.ForwardPort) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		f.all.Go(func() {
			defer conn.Close()
			if err := f.client.ForwardConn(ctx, id, p.Port, conn); err != nil && ctx.Err() == nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.ui.notef("a connection to 127.0.0.1:%d: %v", p.Local, err)
			}
		})
	}
}
