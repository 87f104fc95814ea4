// Package api is the control socket: how the command line speaks to the daemon.
package api

import (
	"context"
	"log/slog"
	"net"

	"github.com/sallyport/sallyport/shim"
)

// A Keeper is what the server steers. Implemented by [shim.Keeper].
type Keeper interface {
	Preview(ctx context.Context, files []shim.Bundle) ([]shim.Preview, error)
	Apply(ctx context.Context, files []shim.Bundle, progress func(line string)) error
	Remove(ctx context.Context, group string, progress func(line string)) error
	Restart(ctx context.Context, group, container string, progress func(line string)) error
	Status(group string) ([]shim.GroupStatus, error)
}

var _ Keeper = (*shim.Keeper)(nil)

// A LogSource calls emit with each line asked for, one call at a time, until there is no more or ctx ends.
type LogSource func(ctx context.Context, req LogRequest, emit func(container, line string) error) error

// A ServerConfig is what a Server works with.
type ServerConfig struct {
	Keeper  Keeper       // required
	Exec    shim.Execer  // required
	Logs    LogSource    // required
	Version VersionInfo  // optional: what Version answers
	Log     *slog.Logger // optional: nil discards
}

// A Server answers on the control socket.
type Server struct{ cfg ServerConfig }

// NewServer validates and starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) { return &Server{cfg}, nil }

// Serve answers on l, which it closes, until ctx ends. Then it tells the callers that wait and returns nil when they are gone.
func (s *Server) Serve(ctx context.Context, l net.Listener) error { return errStub }

// Listen opens the control socket at path, in a folder that exists. It replaces a socket that nobody answers on and refuses
// to take over one from a living daemon. Only root can connect.
func Listen(path string) (net.Listener, error) { return nil, errStub }
