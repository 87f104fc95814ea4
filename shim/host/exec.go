package host

import (
	"context"
	"io"
	"time"
)

// An ExecRequest asks for one more process in a running container. The container's limits and rules
// hold for it too.
type ExecRequest struct {
	Group, Container string
	Args             []string
	User             string        // USER[:GROUP] of the container, by name or number; empty: its own
	Env              []string      // NAME=VALUE, on top of the container's own
	WorkDir          string        // absolute; empty: the container's own
	Timeout          time.Duration // then the process, and what it started, is ended; 0: never
	Stopping         bool          // it is part of the container's stop: a pre_stop
	TTY              bool
	Stdin            io.Reader // nil: nothing to read
	Stdout, Stderr   io.Writer // Stderr is not used with TTY
	Resize           <-chan WinSize
	Started          func() // optional: Exec calls it once the process runs
}

// A WinSize is the size of a terminal, in characters.
type WinSize struct{ Width, Height uint16 }

// An Execer runs processes in running containers. Exec returns the exit status. ctrd.Client
// implements it.
type Execer interface {
	Exec(ctx context.Context, req ExecRequest) (status uint32, err error)
}
