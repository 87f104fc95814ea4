package host

import (
	"context"
	"io"
)

// An ExecRequest runs one more process in a running container, with the container's limits and rules.
type ExecRequest struct {
	Group, Container string
	Args             []string
	TTY              bool
	Stdin            io.Reader // nil: none
	Stdout, Stderr   io.Writer // Stderr is not used with TTY
	Resize           <-chan WinSize
	Started          func() // optional: Exec calls it once the process runs
}

// WinSize is a terminal's size in characters.
type WinSize struct{ Width, Height uint16 }

// Execer runs processes in running containers. Exec returns the exit status. Implemented by ctrd.Client.
type Execer interface {
	Exec(ctx context.Context, req ExecRequest) (status uint32, err error)
}
