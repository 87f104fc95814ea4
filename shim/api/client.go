package api

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/shim"
)

// A Client speaks to the daemon at a socket. It holds no connection between calls, needs no closing, and may be used by
// several goroutines. Errors are what the daemon said, with its hint ([shim.Problem]).
type Client struct {
	socket string
}

// NewClient returns a client of the daemon that listens at socket. It doesn't connect.
func NewClient(socket string) *Client { return &Client{socket: socket} }

var errStub = errors.New("signatures only")

// Version says which daemon answers.
func (c *Client) Version(ctx context.Context) (VersionInfo, error) { return VersionInfo{}, errStub }

// Status returns one group's status, or every group's, by name, when group is "".
func (c *Client) Status(ctx context.Context, group string) ([]shim.GroupStatus, error) {
	return nil, errStub
}

// Preview says what Apply would do, changing nothing.
func (c *Client) Preview(ctx context.Context, files []shim.Bundle) ([]shim.Preview, error) {
	return nil, errStub
}

// Apply installs the files and waits until their groups are as they say. progress (may be nil) gets one line at a time.
// When ctx ends only the wait does: what is installed stays installed.
func (c *Client) Apply(ctx context.Context, files []shim.Bundle, progress func(line string)) error {
	return errStub
}

// Remove uninstalls a group's file and waits until the group is gone.
func (c *Client) Remove(ctx context.Context, group string, progress func(line string)) error {
	return errStub
}

// Restart stops and starts one container, or with "" all of the group's, and waits until they run.
func (c *Client) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	return errStub
}

// Logs calls emit with each line of output, without its newline, any bytes. An error of emit ends it and is returned. With
// Follow it ends with ctx, and that is no error.
func (c *Client) Logs(ctx context.Context, req LogRequest, emit func(container, line string) error) error {
	return errStub
}

// Exec runs a process in a running container and returns its exit status. A Read of req.Stdin that blocks when the process
// ends is left behind. When ctx ends the process is ended.
func (c *Client) Exec(ctx context.Context, req shim.ExecRequest) (status uint32, err error) {
	return 0, errStub
}
