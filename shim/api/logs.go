package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
	"unicode/utf8"

	"github.com/sallyport/sallyport/shim/hint"
)

// A LogRequest selects output of a group.
type LogRequest struct {
	Group      string
	Containers []string // empty: all containers
	// Removed asks for the output of the latest group of that name that was removed.
	Removed bool
	Follow  bool // continue until the caller ends it
	// Tail is the number of lines of each container to begin with. 0 means all lines. A negative
	// number means none, which makes sense with Follow only.
	Tail int
	// Since and Until bound when the lines were written. Zero means no bound. Until needs Follow to
	// be false.
	Since, Until time.Time
	Times        bool // the lines are to have their time, and to be in that order
}

// timed reports whether a daemon has to know times to answer the request.
func (r LogRequest) timed() bool { return r.Times || !r.Since.IsZero() || !r.Until.IsZero() }

// A LogLine is a line of output, or how much of it is missing.
type LogLine struct {
	Container string
	Stream    string // "stdout" or "stderr", if the container's streams are kept apart
	Text      string // any bytes, without the newline
	// Time is when the line was written, to within a second. Zero means that it is unknown, or was
	// not asked for.
	Time time.Time
	// Latest means that the line was written at Time or before: nothing watched the file then.
	Latest bool
	// Partial means that the line is long and goes on in the next one of this container and stream.
	Partial bool
	// Missed is the number of bytes that were freed before they could be read. The other lines have
	// 0. Such a line has no text.
	Missed int64
}

// A RemovedOutput is the output of a group that was removed.
type RemovedOutput struct {
	Group      string    `json:"group"`
	At         time.Time `json:"at"`
	Containers []string  `json:"containers"`
	Size       int64     `json:"size"` // bytes on the disk
}

// timesHeader is in the answer of a daemon that knows times. An earlier daemon ignores the part of
// the request that is about them.
const timesHeader = "Sallyport-Times"

// A missedOutput is in an event of its own, which a client that doesn't know it ignores.
type missedOutput struct {
	Container string `json:"container"`
	Stream    string `json:"stream,omitempty"`
	Bytes     int64  `json:"bytes"`
}

func lineEvent(l LogLine) event {
	if l.Missed > 0 {
		return event{Missed: &missedOutput{l.Container, l.Stream, l.Missed}}
	}
	e := event{Container: l.Container, Stream: l.Stream, Time: l.Time, Latest: l.Latest, Partial: l.Partial}
	if utf8.ValidString(l.Text) {
		e.Line = l.Text
	} else {
		e.Raw = []byte(l.Text)
	}
	return e
}

// output returns the line in an event. ok is false if there is none.
func (e event) output() (l LogLine, ok bool) {
	switch {
	case e.Missed != nil:
		return LogLine{Container: e.Missed.Container, Stream: e.Missed.Stream, Missed: e.Missed.Bytes}, true
	case e.Container == "":
		return LogLine{}, false
	}
	l = LogLine{Container: e.Container, Stream: e.Stream, Text: e.Line, Time: e.Time, Latest: e.Latest, Partial: e.Partial}
	if e.Raw != nil {
		l.Text = string(e.Raw)
	}
	return l, true
}

// Logs calls emit with each line of output. An error of emit ends Logs, which returns it unchanged.
// With Follow, Logs ends without an error when ctx ends. A daemon of an earlier version that does
// not know what is asked for returns an error.
func (c *Client) Logs(ctx context.Context, req LogRequest, emit func(LogLine) error) error {
	if err := checkNames(req.Group, req.Containers...); err != nil {
		return err
	}
	path := groupPath(req.Group) + "/logs"
	if req.Removed {
		path = "/v1/removed/" + req.Group + "/logs"
	}
	r, err := c.send(ctx, http.MethodGet, path+"?"+req.query().Encode(), nil, http.StatusOK)
	if err == nil {
		defer r.close()
		if req.timed() && r.Header.Get(timesHeader) == "" {
			return &hint.Error{
				Err:  errors.New("the daemon is of an earlier version, which does not know when output was written"),
				Hint: "use a command and a daemon of the same version",
			}
		}
		err = r.events(ctx, func(ev event) error {
			if l, ok := ev.output(); ok {
				return emit(l)
			}
			return nil
		})
	}
	if req.Follow && ctx.Err() != nil {
		return nil
	}
	return err
}

func (r LogRequest) query() url.Values {
	query := rangeQuery(r.Follow, r.Tail)
	if len(r.Containers) > 0 {
		query["container"] = r.Containers
	}
	for name, at := range map[string]time.Time{"since": r.Since, "until": r.Until} {
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if r.Times {
		query.Set("times", "true")
	}
	return query
}

// Removed returns the output that is kept of removed groups, the latest first.
func (c *Client) Removed(ctx context.Context) ([]RemovedOutput, error) {
	var body removedBody
	err := c.ask(ctx, http.MethodGet, "/v1/removed", nil, &body)
	return body.Removed, err
}

// logs returns the streaming verb for the output of a group, or of a removed one.
func (s *Server) logs(removed bool) func(context.Context, *http.Request, *stream) error {
	return func(ctx context.Context, r *http.Request, out *stream) error {
		req, err := parseLogRequest(r.PathValue("group"), r.URL.Query())
		if err != nil {
			return err
		}
		req.Removed = removed
		out.w.Header().Set(timesHeader, "true")
		err = s.Logs(ctx, req, func(l LogLine) error { return out.send(ctx, lineEvent(l)) })
		if err == nil {
			err = ctx.Err() // following ends without an error when ctx ends, although more may come
		}
		return about(err, req.Group, "")
	}
}

func parseLogRequest(group string, query url.Values) (req LogRequest, err error) {
	req = LogRequest{Group: group, Containers: query["container"]}
	if err := checkNames(req.Group, req.Containers...); err != nil {
		return req, err
	}
	if req.Follow, req.Tail, err = parseRange(query); err != nil {
		return req, err
	}
	if req.Times, err = parseBool(query, "times"); err != nil {
		return req, err
	}
	if req.Since, err = parseTime(query, "since"); err != nil {
		return req, err
	}
	req.Until, err = parseTime(query, "until")
	if err == nil && req.Follow && !req.Until.IsZero() {
		err = &badRequest{errors.New("follow and until exclude each other"), http.StatusBadRequest}
	}
	return req, err
}

// parseTime parses a time. A missing value is the zero time.
func parseTime(query url.Values, name string) (at time.Time, err error) {
	v := query.Get(name)
	if v == "" {
		return at, nil
	}
	if at, err = time.Parse(time.RFC3339Nano, v); err != nil {
		return at, &badRequest{fmt.Errorf("%s=%q is not a time of RFC 3339", name, v), http.StatusBadRequest}
	}
	return at, nil
}

func (s *Server) removed(*http.Request) (any, error) {
	body := removedBody{Removed: []RemovedOutput{}}
	if s.Removed == nil {
		return body, nil
	}
	all, err := s.Removed()
	body.Removed = append(body.Removed, all...)
	return body, err
}
