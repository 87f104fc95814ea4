package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// answers returns the handler for a verb with a single answer.
func (s *Server) answers(verb func(r *http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		var body any
		err := s.guard(r, func() (err error) {
			body, err = verb(r)
			return err
		})
		err = because(r.Context(), err)
		s.record(r, begun, err)
		if err != nil {
			writeError(w, err)
			return
		}
		writeJSON(w, http.StatusOK, body)
	})
}

// streams returns the handler for a verb that sends events while it works.
func (s *Server) streams(verb func(ctx context.Context, r *http.Request, out *stream) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		ctx, cancel := context.WithCancelCause(r.Context())
		defer cancel(nil)
		out := newStream(w, cancel)
		err := s.guard(r, func() error { return verb(host.WithTransfers(ctx, out.transfer), r, out) })
		err = because(ctx, err)
		s.record(r, begun, err)
		out.finish(err)
	})
}

// because replaces "context canceled" by the cause of the cancellation.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, context.Canceled) {
		return cause
	}
	return err
}

func (s *Server) version(r *http.Request) (any, error) {
	v := s.Version
	if s.Runtime != nil {
		v.Runtime = s.Runtime(r.Context())
	}
	return v, nil
}

func (s *Server) status(r *http.Request) (any, error) {
	group := r.PathValue("group")
	if group != "" {
		if err := checkNames(group); err != nil {
			return nil, err
		}
	}
	groups, err := s.Keeper.Status(group)
	if rightsOf(r) < fullRights {
		groups = forReaders(groups)
	}
	return groupsBody{groups}, about(err, group, "")
}

func (s *Server) problems(*http.Request) (any, error) {
	body := problemsBody{Problems: []FileProblem{}}
	for _, p := range s.Keeper.Problems() {
		text := p.Err.Error()
		if h := hint.Of(p.Err); h != "" {
			text += "; " + h
		}
		body.Problems = append(body.Problems, FileProblem{p.Path, text})
	}
	return body, nil
}

func (s *Server) disks(r *http.Request) (any, error) {
	body := disksBody{Disks: []host.Disk{}}
	if s.Disks != nil {
		body.Disks = append(body.Disks, s.Disks(r.Context())...)
	}
	return body, nil
}

func (s *Server) usage(r *http.Request) (any, error) {
	if s.Usage == nil {
		return usageBody{}, nil
	}
	return usageBody{s.Usage(r.Context())}, nil
}

func (s *Server) preview(r *http.Request) (any, error) {
	var body filesBody
	if err := readJSON(r, &body); err != nil {
		return nil, err
	}
	previews, err := s.Keeper.Preview(r.Context(), body.Files)
	return previewsBody{previews}, err
}

func (s *Server) apply(ctx context.Context, r *http.Request, out *stream) error {
	var body filesBody
	if err := readJSON(r, &body); err != nil {
		return err
	}
	detach, err := parseBool(r.URL.Query(), "detach")
	if err != nil {
		return err
	}
	if detach {
		return s.Keeper.Install(ctx, body.Files, out.progress)
	}
	return s.Keeper.Apply(ctx, body.Files, out.progress)
}

// ofGroup returns a streaming verb that needs only the name of a group.
func ofGroup(verb func(ctx context.Context, group string, progress func(string)) error) func(context.Context, *http.Request, *stream) error {
	return func(ctx context.Context, r *http.Request, out *stream) error {
		group := r.PathValue("group")
		if err := checkNames(group); err != nil {
			return err
		}
		return about(verb(ctx, group, out.progress), group, "")
	}
}

func (s *Server) remove(ctx context.Context, r *http.Request, out *stream) error {
	purge, err := parseBool(r.URL.Query(), "volumes")
	if err != nil {
		return err
	}
	if purge {
		return ofGroup(s.Keeper.Purge)(ctx, r, out)
	}
	return ofGroup(s.Keeper.Remove)(ctx, r, out)
}

func (s *Server) removeFile(ctx context.Context, r *http.Request, out *stream) error {
	volumes, err := parseBool(r.URL.Query(), "volumes")
	if err != nil {
		return err
	}
	return s.Keeper.RemoveFile(ctx, r.PathValue("file"), volumes, out.progress)
}

func (s *Server) restart(ctx context.Context, r *http.Request, out *stream) error {
	group, container := r.PathValue("group"), r.FormValue("container")
	if err := checkNames(group); err != nil {
		return err
	}
	return about(s.Keeper.Restart(ctx, group, container, out.progress), group, container)
}

func (s *Server) events(ctx context.Context, r *http.Request, out *stream) error {
	query := r.URL.Query()
	q := group.EventQuery{Group: query.Get("group")}
	if q.Group != "" {
		if err := checkNames(q.Group); err != nil {
			return err
		}
	}
	for _, kind := range query["kind"] {
		q.Kinds = append(q.Kinds, group.EventKind(kind))
	}
	var err error
	if q.Follow, q.Tail, err = parseRange(query); err != nil {
		return err
	}
	err = s.Events(ctx, q, func(e group.Event) error { return out.send(ctx, event{Event: &e}) })
	if err == nil {
		err = ctx.Err() // following ends without an error when ctx ends, although more may come
	}
	return about(err, q.Group, "")
}

// parseRange parses the range of lines or events.
func parseRange(query url.Values) (follow bool, tail int, err error) {
	if follow, err = parseBool(query, "follow"); err != nil {
		return false, 0, err
	}
	if v := query.Get("tail"); v != "" {
		if tail, err = strconv.Atoi(v); err != nil {
			return false, 0, &badRequest{fmt.Errorf("tail=%q is not a number of lines", v), http.StatusBadRequest}
		}
	}
	return follow, tail, nil
}

// parseBool parses a truth value. A missing value is false.
func parseBool(query url.Values, name string) (truth bool, err error) {
	v := query.Get(name)
	if v == "" {
		return false, nil
	}
	if truth, err = strconv.ParseBool(v); err != nil {
		return false, &badRequest{fmt.Errorf("%s=%q is neither true nor false", name, v), http.StatusBadRequest}
	}
	return truth, nil
}

// unknown answers requests without a route. The client most likely has another version.
func (s *Server) unknown(r *http.Request) (any, error) {
	return nil, &badRequest{&hint.Error{
		Err:  fmt.Errorf("the daemon, version %q, does not know %s %s", s.Version.Version, r.Method, r.URL.Path),
		Hint: "use a command and a daemon of the same version",
	}, http.StatusNotFound}
}

// readJSON reads a request's body to its end, because net/http notices a disconnected caller only
// after that.
func readJSON(r *http.Request, v any) error {
	if r.ContentLength > maxBody {
		return &badRequest{fmt.Errorf("the request has %d bytes, the daemon accepts %d", r.ContentLength, maxBody), http.StatusRequestEntityTooLarge}
	}
	data, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return &badRequest{fmt.Errorf("the request has more than the %d bytes that the daemon accepts", maxBody), http.StatusRequestEntityTooLarge}
	case err != nil:
		return &badRequest{fmt.Errorf("read the request: %w", err), http.StatusBadRequest}
	}
	if err := json.Unmarshal(data, v); err != nil {
		return &badRequest{fmt.Errorf("read the request: %w", err), http.StatusBadRequest}
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller has disconnected; other errors are bugs that every test would show
}

func writeError(w http.ResponseWriter, err error) {
	writeJSON(w, statusOf(err), errorBody{encodeError(err)})
}
