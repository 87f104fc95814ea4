package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A Client calls the daemon at a socket. It keeps no connection between calls, needs no closing,
// and may be used by several goroutines. Errors are the daemon's, with its hint ([hint.Error]).
// errors.Is finds [group.ErrNoGroup], [group.ErrNoContainer], [group.ErrNoGeneration],
// [host.ErrNoProgram], [host.ErrCannotRun] and [ErrNoDaemon] in them, and the error of a ctx that
// has ended.
//
// A call with a single answer waits for [Patience] and then returns an error, since a daemon that
// hangs would keep it waiting for ever. A call that streams waits as long as ctx allows.
type Client struct {
	socket   string
	patience time.Duration
}

// Patience is how long a daemon may take for a single answer. It needs a millisecond on an idle
// host. [Client.Preview] parses files and looks at the host, and [Client.Usage] counts files, so
// they may take previewFactor and usageFactor times as long.
const (
	Patience      = 10 * time.Second
	previewFactor = 6
	usageFactor   = 2
)

// NewClient returns a client for the daemon at socket. It does not connect.
func NewClient(socket string) *Client { return &Client{socket, Patience} }

// WithPatience returns a client for the same daemon with a patience of its own.
func (c *Client) WithPatience(patience time.Duration) *Client { return &Client{c.socket, patience} }

// Version returns the daemon's version.
func (c *Client) Version(ctx context.Context) (v VersionInfo, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/version", nil, &v)
	return v, err
}

// Status returns the status of one group. If group is "", it returns that of every group, sorted by
// name.
func (c *Client) Status(ctx context.Context, group string) ([]group.Status, error) {
	path := "/v1/groups"
	if group != "" {
		if err := checkNames(group); err != nil {
			return nil, err
		}
		path = groupPath(group)
	}
	var body groupsBody
	err := c.ask(ctx, http.MethodGet, path, nil, &body)
	return body.Groups, err
}

// A FileProblem is a group file that the daemon can't use. Error is the reason, on one line.
type FileProblem struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// Problems returns the group files that the daemon can't use at present.
func (c *Client) Problems(ctx context.Context) ([]FileProblem, error) {
	var body problemsBody
	err := c.ask(ctx, http.MethodGet, "/v1/problems", nil, &body)
	return body.Problems, err
}

// Disks returns the disks that the daemon uses, and what fills those that are full. A daemon of an
// earlier version returns an error.
func (c *Client) Disks(ctx context.Context) ([]host.Disk, error) {
	var body disksBody
	err := c.ask(ctx, http.MethodGet, "/v1/disks", nil, &body)
	return body.Disks, err
}

// Usage returns what takes the room of the instance. A daemon of an earlier version returns an
// error.
func (c *Client) Usage(ctx context.Context) (host.Usage, error) {
	var body usageBody
	err := c.WithPatience(usageFactor*c.patience).ask(ctx, http.MethodGet, "/v1/usage", nil, &body)
	return body.Usage, err
}

// Preview returns what Apply would do. It changes nothing.
func (c *Client) Preview(ctx context.Context, files []group.Bundle) ([]group.Preview, error) {
	var body previewsBody
	err := c.WithPatience(previewFactor*c.patience).ask(ctx, http.MethodPost, "/v1/preview", filesBody{files}, &body)
	return body.Previews, err
}

// Apply installs the files and waits until their groups are as the files define them. progress gets
// one line at a time. A nil progress is allowed. When ctx ends, only the waiting ends: what is
// installed stays installed.
func (c *Client) Apply(ctx context.Context, files []group.Bundle, progress func(line string)) error {
	return c.stream(ctx, http.MethodPost, applyPath(files), filesBody{files}, forward(progress))
}

// Install is Apply that returns when the files are installed. The daemon then waits in the place of
// the caller, and puts back a file with a group that can't be built. A daemon of an earlier version
// does what Apply does.
func (c *Client) Install(ctx context.Context, files []group.Bundle, progress func(line string)) error {
	return c.stream(ctx, http.MethodPost, applyPath(files)+"?detach=true", filesBody{files}, forward(progress))
}

// applyPath returns the route for the files. A daemon that doesn't know lock files must not ignore
// them.
func applyPath(files []group.Bundle) string {
	if slices.ContainsFunc(files, func(b group.Bundle) bool { return len(b.Locked) > 0 }) {
		return "/v1/apply/locked"
	}
	return "/v1/apply"
}

// Remove uninstalls a group's file and waits until the group is gone. The data in the group's
// persistent volumes is kept, and the containers' output for a while (see [Client.Removed]).
func (c *Client) Remove(ctx context.Context, group string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodDelete, groupPath(group), nil, forward(progress))
}

// Purge is Remove, and also deletes the data in the group's persistent volumes. It works for a
// group that is already removed, too.
func (c *Client) Purge(ctx context.Context, group string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodDelete, groupPath(group)+"?volumes=true", nil, forward(progress))
}

// RemoveFile uninstalls a group file, given by its base name, and waits until all of its groups are
// gone. With volumes, it also deletes the data in their persistent volumes.
func (c *Client) RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error {
	path := "/v1/files/" + url.PathEscape(file)
	if volumes {
		path += "?volumes=true"
	}
	return c.stream(ctx, http.MethodDelete, path, nil, forward(progress))
}

// Restart stops and starts one container and waits until it runs. If container is "", it restarts
// all containers of the group.
func (c *Client) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	query := url.Values{}
	if container != "" {
		query.Set("container", container)
	}
	return c.stream(ctx, http.MethodPost, groupPath(group)+"/restart?"+query.Encode(), nil, forward(progress))
}

// Stop stops a group until Start, even over a reboot. It returns when none of its containers runs.
func (c *Client) Stop(ctx context.Context, group string, progress func(line string)) error {
	return c.steer(ctx, group, "stop", progress)
}

// Start undoes Stop and waits until the group runs.
func (c *Client) Start(ctx context.Context, group string, progress func(line string)) error {
	return c.steer(ctx, group, "start", progress)
}

func (c *Client) steer(ctx context.Context, group, verb string, progress func(string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodPost, groupPath(group)+"/"+verb, nil, forward(progress))
}

// Events calls emit with each requested event. An error of emit ends Events, which returns it
// unchanged. With Follow, Events ends without an error when ctx ends.
func (c *Client) Events(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error {
	query := rangeQuery(q.Follow, q.Tail)
	if q.Group != "" {
		if err := checkNames(q.Group); err != nil {
			return err
		}
		query.Set("group", q.Group)
	}
	for _, kind := range q.Kinds {
		query.Add("kind", string(kind))
	}
	err := c.stream(ctx, http.MethodGet, "/v1/events?"+query.Encode(), nil, func(ev event) error {
		if ev.Event == nil {
			return nil
		}
		return emit(*ev.Event)
	})
	if q.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

// rangeQuery returns the query for a range of lines or events.
func rangeQuery(follow bool, tail int) url.Values {
	query := url.Values{}
	if follow {
		query.Set("follow", "true")
	}
	if tail != 0 {
		query.Set("tail", strconv.Itoa(tail))
	}
	return query
}

func groupPath(group string) string { return "/v1/groups/" + group }

// forward returns a function that passes progress on, except empty lines.
func forward(progress func(line string)) func(event) error {
	return func(ev event) error {
		if progress != nil && ev.Progress != "" {
			progress(ev.Progress)
		}
		return nil
	}
}
