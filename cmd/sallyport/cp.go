package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
	"github.com/sallyport/sallyport/spec"
)

type cpVerb struct {
	Recursive bool   `short:"r" hidden:"" help:"Folders are copied with all that is in them anyway."`
	From      string `arg:"" name:"source" help:"GROUP.CONTAINER:PATH, or a path of the host, or - for a tar stream from standard input."`
	To        string `arg:"" name:"destination" help:"GROUP.CONTAINER:PATH, or a path of the host, or - for a tar stream to standard output."`
	JSON      bool   `name:"json" help:"Print JSON."`
}

// stdStream is the side of a copy that is standard input or output.
const stdStream = "-"

// A place is one side of a copy. Without a group it is a path of the host.
type place struct {
	target
	path string
}

// parsePlace reads GROUP[.CONTAINER]:PATH or a path. A path of the host with a colon in it begins
// with ./ or /.
func parsePlace(text string) (p place, err error) {
	who, path, colon := strings.Cut(text, ":")
	switch {
	case text == "":
		return p, usage(errors.New("an empty path"), "a folder is ., and the root of a container is GROUP.CONTAINER:/")
	case !colon || strings.Contains(who, "/"):
		return place{path: text}, nil
	}
	if err := p.target.UnmarshalText([]byte(who)); err != nil {
		return p, usage(err, "write GROUP.CONTAINER:PATH, or ./"+text+" for a file of the host")
	}
	if p.path = path; path == "" {
		return p, usage(fmt.Errorf("%q has no path", text), "its root is "+text+"/")
	}
	return p, nil
}

// copied is the outcome of a copy. Its JSON is the command's.
type copied struct {
	Files   int       `json:"files"` // and links
	Bytes   int64     `json:"bytes"`
	Skipped []skipped `json:"skipped"` // files that can't be copied, the first thousand
	More    int       `json:"more"`    // files that can't be copied and are not in the list
}

// maxListed is how many skipped files are in the result. A container can have any number.
const maxListed = 1000

type skipped struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

func (v *cpVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	from, err := parsePlace(v.From)
	if err != nil {
		return err
	}
	to, err := parsePlace(v.To)
	if err != nil {
		return err
	}
	streams := v.From == stdStream || v.To == stdStream
	switch {
	case (from.group == "") == (to.group == ""):
		return usage(errors.New("one of the two must be in a container, and the other on this host"),
			"from one container to another: sallyport cp A:PATH - | sallyport cp - B:FOLDER")
	case streams && v.JSON:
		return usage(errors.New("--json is not for a tar stream"), "take it out")
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	c := &copying{client: client, ui: ui, result: copied{Skipped: []skipped{}}}
	if from.group != "" {
		err = c.out(ctx, from, to.path)
	} else {
		err = c.in(ctx, from.path, to)
	}
	if err != nil {
		return interrupted(ctx, err, "what was copied stays copied")
	}
	return c.tell(v, streams)
}

// maxSkipped is how many skipped files are named.
const maxSkipped = 10

// tell prints the result. A copy that is not whole is a failure.
func (c *copying) tell(v *cpVerb, streams bool) error {
	r := c.result
	if v.JSON {
		if err := c.ui.json(r); err != nil {
			return err
		}
	} else if !streams && r.Files > 0 {
		fmt.Fprintf(c.ui.out, "%s copied to %s (%s)\n", plural(r.Files, "file"), v.To, spec.FormatSize(r.Bytes))
	}
	for i, s := range r.Skipped {
		if i == maxSkipped {
			c.ui.notef("and %d more", len(r.Skipped)-i+r.More)
			break
		}
		c.ui.notef("not copied: %s: %s", s.Name, s.Why)
	}
	if len(r.Skipped) > 0 {
		return &hint.Error{
			Err:  fmt.Errorf("%s not copied", plural(len(r.Skipped)+r.More, "file")),
			Hint: "only regular files, folders and links are copied",
		}
	}
	return nil
}

// A copying is one copy.
type copying struct {
	client *api.Client
	ui     *ui

	mu     sync.Mutex // both sides of a copy skip files
	result copied
}

func (c *copying) skip(name, why string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.result.Skipped) == maxListed {
		c.result.More++
		return
	}
	c.result.Skipped = append(c.result.Skipped, skipped{name, why})
}

// request finds the container. The caller adds the stream.
func (c *copying) request(ctx context.Context, p place) (host.CopyRequest, error) {
	groups, err := c.client.Status(ctx, p.group)
	if err != nil {
		return host.CopyRequest{}, err
	}
	container, err := pick(p.target, groups)
	return host.CopyRequest{Group: p.group, Container: container, Path: p.path, Skip: c.skip}, err
}

// out copies from a container to the host.
func (c *copying) out(ctx context.Context, from place, to string) error {
	req, err := c.request(ctx, from)
	if err != nil {
		return err
	}
	if to == stdStream {
		if term.IsTerminal(int(c.ui.stdout.Fd())) {
			return usage(errors.New("a tar stream is not for a terminal"), "sallyport cp ... - | tar t")
		}
		req.Out = c.ui.stdout
		return c.client.Copy(ctx, req)
	}
	local, path, err := onHost(to)
	if err != nil {
		return err
	}
	defer local.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	r, w := io.Pipe()
	req.Out = w
	sent := make(chan error, 1)
	go func() {
		err := c.client.Copy(ctx, req)
		_ = w.CloseWithError(err) // nil is the end of the stream
		sent <- err
	}()
	done, err := local.Unpack(ctx, r, inside.UnpackRequest{Path: path, Skip: c.skip})
	c.result.Files, c.result.Bytes = done.Files, done.Bytes
	_ = r.CloseWithError(errNotWritten)
	if failed := <-sent; failed != nil && !errors.Is(failed, errNotWritten) {
		return failed
	}
	return hostProblem(to, err)
}

// errNotWritten ends the sending of what can't be written here.
var errNotWritten = errors.New("the copy can't be written")

// in copies from the host into a container.
func (c *copying) in(ctx context.Context, from string, to place) error {
	req, err := c.request(ctx, to)
	if err != nil {
		return err
	}
	if from == stdStream {
		if term.IsTerminal(int(c.ui.in.Fd())) {
			return usage(errors.New("a tar stream is not read from a terminal"), "tar c FILES | sallyport cp - "+to.String()+":"+to.path)
		}
		req.In, req.Whole = c.ui.in, true
		return c.client.Copy(ctx, req)
	}
	local, path, err := onHost(from)
	if err != nil {
		return err
	}
	defer local.Close()
	sending, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, w := io.Pipe()
	stream := bufio.NewReader(r)
	req.In = stream
	packed := make(chan error, 1)
	go func() {
		done, err := local.Pack(sending, w, path, c.skip)
		c.result.Files, c.result.Bytes = done.Files, done.Bytes
		if err != nil {
			cancel(err) // before the end of the input, which would pass for the end of the stream
		}
		_ = w.CloseWithError(err)
		packed <- err
	}()
	if _, err := stream.Peek(1); err != nil { // nothing can be read, and the daemon is not asked
		return hostProblem(from, <-packed)
	}
	failed := c.client.Copy(sending, req)
	_ = r.CloseWithError(errNotWritten)
	err = <-packed
	if err != nil && !errors.Is(err, errNotWritten) && ctx.Err() == nil {
		return hostProblem(from, err)
	}
	return failed
}

// onHost returns the root of the host, and a path in it.
func onHost(path string) (*inside.Root, string, error) {
	if !strings.HasPrefix(path, "/") {
		wd, err := os.Getwd()
		if err != nil {
			return nil, "", err
		}
		path = wd + "/" + path // not cleaned: ".." behind a link is the kernel's matter
	}
	root, err := inside.OpenHost()
	return root, path, err
}

// hostProblem words an error of the host's side.
func hostProblem(path string, err error) error {
	if err == nil {
		return nil
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", path, at.Err)
	}
	return fmt.Errorf("%s: %w", path, err)
}
