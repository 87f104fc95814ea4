package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

type copyFunc func(ctx context.Context, req host.CopyRequest) error

func (f copyFunc) Copy(ctx context.Context, req host.CopyRequest) error { return f(ctx, req) }

// Copies go both ways, streamed, with the names of what was left out.
func TestCopy(t *testing.T) {
	const size = 8 << 20
	d := startDaemon(t, ServerConfig{Copy: copyFunc(func(_ context.Context, req host.CopyRequest) error {
		req.Skip("a\nb", "a pipe")
		req.Skip(strings.Repeat("long", 1<<20), "a socket")
		if req.Out != nil {
			_, err := io.Copy(req.Out, io.LimitReader(zeros{}, size))
			return err
		}
		n, err := io.Copy(io.Discard, req.In)
		if n != size || req.Path != "/srv" || !req.Whole || req.Group != "checkout" || req.Container != "web" {
			t.Errorf("%d bytes to %+v", n, req)
		}
		return err
	})})
	var skipped []string
	req := host.CopyRequest{Group: "checkout", Container: "web", Path: "/srv", Whole: true, Skip: func(name, why string) {
		skipped = append(skipped, name[:min(len(name), 4)]+" is "+why)
	}}
	var out bytes.Buffer
	from := req
	from.Out = &out
	if err := d.Copy(t.Context(), from); err != nil || out.Len() != size {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	to := req
	to.In = io.LimitReader(zeros{}, size)
	if err := d.Copy(t.Context(), to); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"a\nb is a pipe", "long is a socket", "a\nb is a pipe", "long is a socket"}, skipped); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A client that vanishes in the middle is no end of the stream.
func TestCopyCutOff(t *testing.T) {
	began, ended := make(chan struct{}), make(chan error, 1)
	d := startDaemon(t, ServerConfig{Copy: copyFunc(func(ctx context.Context, req host.CopyRequest) error {
		_, _ = req.In.Read(make([]byte, 1))
		close(began)
		_, err := io.Copy(io.Discard, req.In)
		ended <- err
		return err
	})})
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	defer w.Close()
	answered := make(chan error, 1)
	go func() {
		answered <- d.Copy(ctx, host.CopyRequest{Group: "checkout", Container: "web", Path: "/x", In: r})
	}()
	if _, err := w.Write([]byte("half of it")); err != nil {
		t.Fatal(err)
	}
	receive(t, "the copy", began)
	cancel()
	if err := receive(t, "the client", answered); !errors.Is(err, context.Canceled) {
		t.Errorf("client: %v", err)
	}
	if err := receive(t, "the daemon", ended); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("daemon: %v, want %v", err, io.ErrUnexpectedEOF)
	}
}

func TestCopyErrors(t *testing.T) {
	d := startDaemon(t, ServerConfig{Copy: copyFunc(func(context.Context, host.CopyRequest) error { return group.ErrNoContainer })})
	req := host.CopyRequest{Group: "checkout", Container: "web", Path: "/x", Out: io.Discard}
	checkProblem(t, d.Copy(t.Context(), req), `container "web" of group "checkout": no such container`, `"sallyport status checkout" lists its containers`)
	req.Path = ""
	checkProblem(t, d.Copy(t.Context(), req), "copy needs a path", "")
	req.Container = "../x"
	if err := d.Copy(t.Context(), req); !errors.Is(err, group.ErrNoContainer) {
		t.Error(err)
	}
	none := startDaemon(t, ServerConfig{})
	req.Container, req.Path = "web", "/x"
	checkProblem(t, none.Copy(t.Context(), req), "this daemon copies no files", "")
}
