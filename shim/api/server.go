package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// A Keeper keeps the groups. progress gets one line for each thing that happens.
type Keeper interface {
	Status(group string) ([]group.Status, error)
	Problems() []group.FileProblem
	History(ctx context.Context, group string) ([]group.Generation, error)
	Compare(ctx context.Context, group string, before, now int) (group.Comparison, error)
	Definition(ctx context.Context, group string, generation int) (group.Definition, error)
	Preview(ctx context.Context, files []group.Bundle) ([]group.Preview, error)

	Apply(ctx context.Context, files []group.Bundle, progress func(line string)) error
	Install(ctx context.Context, files []group.Bundle, progress func(line string)) error
	Rollback(ctx context.Context, group string, to int, progress func(line string)) error
	Remove(ctx context.Context, group string, progress func(line string)) error
	Purge(ctx context.Context, group string, progress func(line string)) error
	RemoveFile(ctx context.Context, file string, volumes bool, progress func(line string)) error

	Restart(ctx context.Context, group, container string, progress func(line string)) error
	Stop(ctx context.Context, group string, progress func(line string)) error
	Start(ctx context.Context, group string, progress func(line string)) error
	Wait(ctx context.Context, group string) (status uint32, err error)
	Settle(ctx context.Context, group string, d time.Duration, progress func(line string)) error
}

// An Execer runs a process in a running container and returns its exit status.
type Execer interface {
	Exec(ctx context.Context, req host.ExecRequest) (status uint32, err error)
}

// A LogSource calls emit with each line that is requested, one call at a time. It returns after the
// last line or when ctx ends, and then calls emit no more.
type LogSource func(ctx context.Context, req LogRequest, emit func(LogLine) error) error

// An EventSource calls emit with each event that is requested, as a LogSource does with lines.
type EventSource func(ctx context.Context, q group.EventQuery, emit func(group.Event) error) error

// A ServerConfig holds what a Server works with.
type ServerConfig struct {
	Keeper  Keeper      // required
	Exec    Execer      // required
	Logs    LogSource   // required
	Events  EventSource // required
	Version VersionInfo // optional: the answer to a request for the version
	// Runtime returns the containerd that the daemon works with. It is called for each request for
	// the version. Optional: if it is nil, the answer is Version alone.
	Runtime func(ctx context.Context) string
	// Configuration returns the daemon's configuration. Optional: if it is nil, the answer is
	// empty.
	Configuration func() Configuration
	// Disks returns the disks that the daemon uses, and what fills those that are full. Optional:
	// if it is nil, the answer has none.
	Disks func(ctx context.Context) []host.Disk
	// Usage returns what takes the room of the instance. Optional: if it is nil, the answer is
	// empty.
	Usage func(ctx context.Context) host.Usage
	// Images returns the images on the host. Optional: if it is nil, there is none.
	Images func(ctx context.Context) (host.Images, error)
	// PruneImages removes the images that nothing uses, and calls each with every one. Optional: if
	// it is nil, it removes none.
	PruneImages func(ctx context.Context, req PruneRequest, each func(host.ImageRemoval)) error
	// RemoveImages removes images by their names or digests, and calls each with every one.
	// Optional: if it is nil, it is an error.
	RemoveImages func(ctx context.Context, names []string, each func(host.ImageRemoval)) error
	// LoadImages makes the images of an archive present. Optional: if it is nil, it is an error.
	LoadImages func(ctx context.Context, req host.LoadRequest) (host.LoadedImages, error)
	// Copy copies files between the host and running containers. Optional: if it is nil, none.
	Copy host.Copier
	// Forward connects to ambassadors. Optional: if it is nil, nothing is forwarded.
	Forward Forwarder
	// Signal sends a signal to a container's program. dropped reports whether the program has no
	// handler for it, so that the kernel drops it. Optional: if it is nil, none is sent.
	Signal func(ctx context.Context, req SignalRequest) (dropped bool, err error)
	// Registries keep the logins to registries. Optional: if it is nil, there are none.
	Registries Registries
	Puller     Puller // optional: if it is nil, nothing is pulled on request
	// CurrentDigest returns the digest of the image that a reference means now. Optional: if it is
	// nil, it is an error.
	CurrentDigest func(ctx context.Context, ref string) (digest string, err error)
	Runs          RunKeeper // optional: if it is nil, there are no runs
	// Removed returns the output that is kept of removed groups, the latest first. Optional: if it
	// is nil, there is none.
	Removed func() ([]RemovedOutput, error)
	Log     *slog.Logger // optional: nil discards
}

// A Server answers on the control socket.
type Server struct {
	ServerConfig
	sessions sync.WaitGroup // of exec and its like, whose connections net/http no longer owns
	forwards forwards
}

// NewServer checks cfg. It starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	switch {
	case cfg.Keeper == nil:
		return nil, errors.New("the control socket needs a Keeper")
	case cfg.Exec == nil:
		return nil, errors.New("the control socket needs an Execer")
	case cfg.Logs == nil:
		return nil, errors.New("the control socket needs a LogSource")
	case cfg.Events == nil:
		return nil, errors.New("the control socket needs an EventSource")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{ServerConfig: cfg}, nil
}

const (
	headerTimeout = 10 * time.Second
	idleTimeout   = time.Minute
	drainTimeout  = 5 * time.Second // for waiting requests to send their last line
)

var errStopping = &hint.Error{
	Err:  errors.New("the daemon is stopping"),
	Hint: "the groups continue to run; see \"sallyport ps\" when the daemon is back",
}

// Serve answers on l until ctx ends, and closes l. At the end it sends every waiting request an
// error, and returns nil when all connections are closed. It must be called only once.
func (s *Server) Serve(ctx context.Context, l *Listener) error {
	l.refused = s.logRefused()
	kept, end := context.WithCancel(ctx)
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer end()
	keeping.Go(func() { l.Keep(kept, s.Log) })
	// The cause shows a request that the daemon has ended it, rather than its caller.
	requests, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	server := &http.Server{
		Handler:           s.handler(),
		BaseContext:       func(net.Listener) context.Context { return requests },
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ConnContext:       func(ctx context.Context, conn net.Conn) context.Context { return withRights(ctx, conn, l) },
		ErrorLog:          slog.NewLogLogger(s.Log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()

	var err error
	select {
	case <-ctx.Done():
	case err = <-served: // before Shutdown this can only be an error of the listener
		err = fmt.Errorf("serve the control socket: %w", err)
	}
	stop(errStopping)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if server.Shutdown(drain) != nil {
		_ = server.Close() // closes connections whose clients don't read
	}
	s.sessions.Wait()
	if err == nil {
		<-served
	}
	return err
}

// logRefused returns a function that logs a refused user. One who tries again and again is logged
// once a minute.
func (s *Server) logRefused() func(uid uint32) {
	var last uint32
	var until time.Time
	return func(uid uint32) {
		if now := time.Now(); uid != last || now.After(until) {
			last, until = uid, now.Add(time.Minute)
			s.Log.Warn("control socket: a user was refused", "uid", uid)
		}
	}
}

// A route is a pattern of [http.ServeMux], the rights that it needs, and its handler.
type route struct {
	pattern string
	needs   rights
	handler http.Handler
}

// routes lists what the server answers, in the order of the list in doc.go. A test compares the
// two.
func (s *Server) routes() []route {
	return []route{
		{"GET /v1/version", readRights, s.answers(s.version)},
		{"GET /v1/configuration", readRights, s.answers(s.showConfiguration)},
		{"GET /v1/groups", readRights, s.answers(s.status)},
		{"GET /v1/groups/{group}", readRights, s.answers(s.status)},
		{"GET /v1/problems", readRights, s.answers(s.problems)},
		{"GET /v1/disks", readRights, s.answers(s.disks)},
		{"GET /v1/usage", readRights, s.answers(s.usage)},
		{"GET /v1/images", readRights, s.answers(s.listImages)},
		{"DELETE /v1/images", fullRights, s.streams(s.removeImages)},
		{"GET /v1/images/digest", fullRights, s.streams(s.currentDigest)},
		{"POST /v1/images/load", fullRights, s.streams(s.loadImages)},
		{"POST /v1/images/prune", fullRights, s.streams(s.pruneImages)},
		{"POST /v1/images/pull", fullRights, s.streams(s.pullImage)},
		{"POST /v1/registries/login", fullRights, s.answers(s.login)},
		{"POST /v1/registries/logout", fullRights, s.answers(s.logout)},
		{"GET /v1/groups/{group}/history", readRights, s.answers(s.history)},
		{"GET /v1/groups/{group}/history/{generation}", fullRights, s.answers(s.definition)},
		{"GET /v1/groups/{group}/diff", fullRights, s.answers(s.compare)},
		{"POST /v1/preview", fullRights, s.answers(s.preview)},
		{"POST /v1/apply", fullRights, s.streams(s.apply)},
		{"POST /v1/apply/locked", fullRights, s.streams(s.apply)},
		{"POST /v1/groups/{group}/rollback", fullRights, s.streams(s.rollback)},
		{"POST /v1/groups/{group}/pull", fullRights, s.streams(s.pull)},
		{"DELETE /v1/groups/{group}", fullRights, s.streams(s.remove)},
		{"DELETE /v1/files/{file}", fullRights, s.streams(s.removeFile)},
		{"POST /v1/groups/{group}/restart", fullRights, s.streams(s.restart)},
		{"POST /v1/groups/{group}/signal", fullRights, s.answers(s.signal)},
		{"POST /v1/groups/{group}/stop", fullRights, s.streams(ofGroup(s.Keeper.Stop))},
		{"POST /v1/groups/{group}/start", fullRights, s.streams(ofGroup(s.Keeper.Start))},
		{"GET /v1/groups/{group}/wait", readRights, s.streams(s.wait)},
		{"GET /v1/groups/{group}/settle", fullRights, s.streams(s.settle)},
		{"GET /v1/groups/{group}/logs", fullRights, s.streams(s.logs(false))},
		{"GET /v1/removed", fullRights, s.answers(s.removed)},
		{"GET /v1/removed/{group}/logs", fullRights, s.streams(s.logs(true))},
		{"GET /v1/events", readRights, s.streams(s.events)},
		{"POST /v1/exec", fullRights, http.HandlerFunc(s.exec)},
		{"POST /v1/exec/as", fullRights, http.HandlerFunc(s.exec)},
		{"POST /v1/copy", fullRights, http.HandlerFunc(s.copy)},
		{"POST /v1/forward", fullRights, http.HandlerFunc(s.forward)},
		{"POST /v1/forward/{id}/{port}", fullRights, http.HandlerFunc(s.forwardConn)},
		{"GET /v1/runs", readRights, s.answers(s.listRuns)},
		{"GET /v1/runs/{run}", readRights, s.answers(s.showRun)},
		{"POST /v1/runs", fullRights, http.HandlerFunc(s.startRun)},
		{"POST /v1/locked/runs", fullRights, http.HandlerFunc(s.startRun)},
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.only(r.needs, r.handler))
	}
	mux.Handle("/", s.only(readRights, s.answers(s.unknown)))
	return mux
}

// guard turns a panic into an error. A panic is a bug of ours, and no reason to stop the daemon.
func (s *Server) guard(r *http.Request, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.Log.Error("panic in a request", "request", r.Method+" "+r.URL.Path, "panic", p, "stack", string(debug.Stack()))
			err = &hint.Error{
				Err:  fmt.Errorf("bug in the daemon: %v", p),
				Hint: "the daemon's log has the details; please report them",
			}
		}
	}()
	return f()
}

// record logs a finished request. Requests that change nothing are logged at level debug.
func (s *Server) record(r *http.Request, begun time.Time, err error) {
	level := slog.LevelInfo
	if r.Method == http.MethodGet || r.URL.Path == "/v1/preview" {
		level = slog.LevelDebug
	}
	attrs := []any{"request", r.Method + " " + r.URL.Path, "took", time.Since(begun).Round(time.Millisecond)}
	if err != nil {
		attrs = append(attrs, "error", err)
	}
	s.Log.Log(context.WithoutCancel(r.Context()), level, "control socket", attrs...)
}
