package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sallyport/sallyport/shim"
)

// A Client speaks to the daemon at a socket. It holds no connection between calls, needs no
// closing, and may be used by several goroutines. Errors are what the daemon said, with its hint
// ([shim.Problem]); [shim.ErrNoGroup], [shim.ErrNoContainer] and [shim.ErrNoGeneration] can be told
// with errors.Is, and so can the error of a ctx that has ended.
type Client struct {
	socket string
}

// NewClient returns a client of the daemon that listens at socket. It doesn't connect.
func NewClient(socket string) *Client { return &Client{socket} }

// Version says which daemon answers.
func (c *Client) Version(ctx context.Context) (v VersionInfo, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/version", nil, &v)
	return v, err
}

// Status returns one group's status, or every group's, by name, when group is "".
func (c *Client) Status(ctx context.Context, group string) ([]shim.GroupStatus, error) {
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

// A FileProblem is a group file that the daemon can't use, and why on one line.
type FileProblem struct {
	Path  string `json:"path"`
	Error string `json:"error"`
}

// Problems lists the group files that can't be used as they are now.
func (c *Client) Problems(ctx context.Context) ([]FileProblem, error) {
	var body problemsBody
	err := c.ask(ctx, http.MethodGet, "/v1/problems", nil, &body)
	return body.Problems, err
}

// Preview says what Apply would do, changing nothing.
func (c *Client) Preview(ctx context.Context, files []shim.Bundle) ([]shim.Preview, error) {
	var body previewsBody
	err := c.ask(ctx, http.MethodPost, "/v1/preview", filesBody{files}, &body)
	return body.Previews, err
}

// Apply installs the files and waits until their groups are as they say. progress (may be nil) gets
// one line at a time. When ctx ends only the wait does: what is installed stays installed.
func (c *Client) Apply(ctx context.Context, files []shim.Bundle, progress func(line string)) error {
	return c.stream(ctx, http.MethodPost, "/v1/apply", filesBody{files}, tell(progress))
}

// Remove uninstalls a group's file and waits until the group is gone. What the containers printed
// is kept, and so is what is in its persistent volumes.
func (c *Client) Remove(ctx context.Context, group string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodDelete, groupPath(group), nil, tell(progress))
}

// Purge is Remove, and deletes what is in the group's persistent volumes, also those left of a
// group that was removed before.
func (c *Client) Purge(ctx context.Context, group string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	return c.stream(ctx, http.MethodDelete, groupPath(group)+"?volumes=true", nil, tell(progress))
}

// RemoveFile uninstalls a group file, by its base name, and waits until all of its groups are gone;
// with volumes, what is in their persistent ones goes too.
func (c *Client) RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error {
	path := "/v1/files/" + url.PathEscape(file)
	if volumes {
		path += "?volumes=true"
	}
	return c.stream(ctx, http.MethodDelete, path, nil, tell(progress))
}

// Restart stops and starts one container, or with "" all of the group's, and waits until they run.
func (c *Client) Restart(ctx context.Context, group, container string, progress func(line string)) error {
	if err := checkNames(group); err != nil {
		return err
	}
	query := url.Values{}
	if container != "" {
		query.Set("container", container)
	}
	return c.stream(ctx, http.MethodPost, groupPath(group)+"/restart?"+query.Encode(), nil, tell(progress))
}

// Stop takes a group down and keeps it down until Start, whatever boots; it returns when nothing of
// it runs.
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
	return c.stream(ctx, http.MethodPost, groupPath(group)+"/"+verb, nil, tell(progress))
}

// Logs calls emit with each line of output, any bytes, without its newline. An error of emit ends
// it and is returned as it is. With Follow the end of ctx is how it ends, and no error.
func (c *Client) Logs(ctx context.Context, req LogRequest, emit func(container, line string) error) error {
	if err := checkNames(req.Group, req.Containers...); err != nil {
		return err
	}
	query := rangeQuery(req.Follow, req.Tail)
	query["container"] = req.Containers
	err := c.stream(ctx, http.MethodGet, groupPath(req.Group)+"/logs?"+query.Encode(), nil, func(ev event) error {
		if ev.Container == "" {
			return nil
		}
		return emit(ev.Container, ev.output())
	})
	if req.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

// Events calls emit with each event that is meant. An error of emit ends it and is returned as it
// is. With Follow the end of ctx is how it ends, and no error.
func (c *Client) Events(ctx context.Context, q shim.EventQuery, emit func(shim.Event) error) error {
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

// rangeQuery says which part of what there is, and what is to come, is meant.
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

// tell passes progress on; a line that is empty is none.
func tell(progress func(line string)) func(event) error {
	return func(ev event) error {
		if progress != nil && ev.Progress != "" {
			progress(ev.Progress)
		}
		return nil
	}
}
