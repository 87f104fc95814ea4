package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// ask sends a request that has one answer.
func (c *Client) ask(ctx context.Context, method, path string, body, answer any) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return c.lost(ctx, err)
	}
	return nil
}

// stream sends a request that is answered with events, and calls each with those before the last.
func (c *Client) stream(ctx context.Context, method, path string, body any, each func(event) error) error {
	resp, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	events := json.NewDecoder(resp.Body)
	for {
		var ev event
		if err := events.Decode(&ev); err != nil {
			return c.lost(ctx, err)
		}
		switch {
		case ev.Error != nil:
			return ev.Error.decode()
		case ev.Done:
			return nil
		}
		if err := each(ev); err != nil {
			return err
		}
	}
}

// send returns the answer to a request that the daemon accepted.
func (c *Client) send(ctx context.Context, method, path string, body any) (*http.Response, error) {
	req, err := newRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		var wrapped *url.Error // says "Get http://sallyport/...", which isn't where the operator thinks to be
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, c.lost(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, readError(resp)
	}
	return resp, nil
}

func newRequest(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("write the request: %w", err)
		}
		if len(data) > maxBody {
			return nil, &shim.Problem{
				Err:  fmt.Errorf("the group files and the files they name are %d MiB in a request, the daemon takes %d", len(data)>>20, maxBody>>20),
				Hint: "apply fewer files at a time, or put large files into an image",
			}
		}
		content = bytes.NewReader(data)
	}
	return http.NewRequestWithContext(ctx, method, "http://sallyport"+path, content)
}

// readError is the error in an answer.
func readError(resp *http.Response) error {
	var body errorBody
	err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&body)
	if err != nil || body.Error.Message == "" {
		return fmt.Errorf("the daemon answers %q, and not why", resp.Status)
	}
	return body.Error.decode()
}

// dialHTTP connects for net/http, which has an address of its own idea.
func (c *Client) dialHTTP(ctx context.Context, _, _ string) (net.Conn, error) { return c.dial(ctx) }

// dial connects, or says what to do about a daemon that can't be reached.
func (c *Client) dial(ctx context.Context) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.socket)
	switch {
	case err == nil:
		return conn, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOTDIR):
		return nil, &shim.Problem{
			Err:  fmt.Errorf("no daemon answers at %s", c.socket),
			Hint: `start it: "sallyport daemon" as root, or "systemctl start sallyport" where it is a service`,
		}
	case errors.Is(err, fs.ErrPermission):
		return nil, c.notRoot()
	}
	return nil, fmt.Errorf("reach the daemon: %w", err)
}

func (c *Client) notRoot() error {
	return &shim.Problem{
		Err:  fmt.Errorf("the daemon at %s admits only root", c.socket),
		Hint: "run it again with sudo",
	}
}

// lost says what became of a request whose answer did not come, or not to its end.
func (c *Client) lost(ctx context.Context, err error) error {
	var problem *shim.Problem
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &problem):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, unix.ECONNRESET), errors.Is(err, unix.EPIPE):
		if os.Geteuid() != 0 {
			return c.notRoot() // it hangs up on others
		}
		return &shim.Problem{
			Err:  errors.New("the daemon hung up before it was done"),
			Hint: `what it had installed stays installed; when it is back, look with "sallyport status"`,
		}
	}
	return fmt.Errorf("read the daemon's answer: %w", err)
}
