package ctrd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/log"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
	"github.com/sallyport/sallyport/shim/ctrd/devices"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/signed"
)

const (
	// callTimeout bounds a call that containerd answers from its memory or its database.
	callTimeout = 10 * time.Second
	// redial is the longest pause between two attempts to connect. It is short, so that a
	// containerd that came back is used soon.
	redial = 2 * time.Second
)

// A Config selects the containerd that a [Client] speaks to, and the instance that it speaks for.
type Config struct {
	Address    string               // required: containerd's socket, an absolute path
	Layout     layout.Layout        // required
	HostShim   bool                 // optional: one shim process for every group instead of one per group
	Runtime    string               // optional: path of the OCI runtime of new containers; empty: the runc on containerd's PATH
	Log        *slog.Logger         // optional: nil discards
	Registries *registry.Registries // optional: how registries are reached; nil knows no logins
	Proofs     *signed.Proofs       // optional: where proofs of signatures are kept; nil is the folder of the layout
	// BoundLayer bounds an empty writable layer before anything is written to it. Zero bytes are no
	// bound, for a layer that is about to be deleted. Optional: nil leaves layers unbounded.
	BoundLayer func(ctx context.Context, bytes int64, l host.Layer) error
}

// A Client runs containers through one containerd, in the namespace of its layout.
type Client struct {
	cfg    Config
	log    *slog.Logger
	client *containerd.Client

	registries *registry.Registries
	devices    devices.Host
	proofs     *signed.Proofs // of images' signatures
	reaper     reaperCopy
	armor      armor
	demands    atomic.Pointer[signed.Demands]

	choice  snapshotterChoice
	pulls   sharedPulls
	images  imageHandles
	holds   imageHolds
	layers  layerSizes
	known   knownImages
	starts  shimStarts
	execs   execIDs
	looks   lookIDs
	turns   turns         // of exec'd processes
	makes   turns         // of containers
	loading chan struct{} // its holder loads images
	limits  startLimits
	leaving sync.WaitGroup // exec'd processes that have ended and are being deleted

	// What groups ask at the same time.
	listings  sharedAsk[string, *listing]
	retained  sharedAsk[struct{}, map[string][]int]
	noted     sharedAsk[host.Image, map[host.Image]error]
	slowTasks slowTasks
	groups    atomic.Int64 // with containers, when all were last listed

	running runningTasks
	events  eventStream
	answers answered
	copied  copiedOutputs
	pipes   shimPipes
	shims   shimPIDs
	members membership

	leftoverAfter, shimAnswers, execStarts, taskListSlow, tryWait time.Duration
}

// New validates the config. The client connects at the first call, so containerd may come up later,
// go away and come back.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		return nil, errors.New("containerd client: no socket address")
	}
	if cfg.Layout.Namespace == "" {
		return nil, errors.New("containerd client: layout without a namespace")
	}
	quiet()
	client, err := containerd.New(cfg.Address, containerd.WithTimeout(redial))
	if err != nil {
		return nil, fmt.Errorf("containerd at %s: %w", cfg.Address, err)
	}
	c := &Client{
		cfg: cfg, log: cfg.Log, client: client, registries: cfg.Registries, devices: devices.New(), proofs: cfg.Proofs, execs: newExecIDs(), looks: newLookIDs(), loading: make(chan struct{}, 1),
		turns: turns{atOnce: execsAtOnce}, makes: turns{atOnce: makesAtOnce},
		leftoverAfter: leftoverAfter, shimAnswers: shimAnswers, execStarts: execStarts, taskListSlow: taskListSlow, tryWait: registry.FirstWait,
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.registries == nil {
		c.registries = registry.New("", registry.Settings{})
	}
	if l := cfg.Layout; l.StateDir != "" {
		c.reaper.folder = l.InitDir()
		if c.proofs == nil {
			c.proofs = signed.NewProofs(l.ProofsDir())
		}
	}
	c.armor.host = apparmor.New()
	c.listings.ask, c.retained.ask, c.noted.ask = c.list, c.listRetained, c.noteAll
	return c, nil
}

// quiet keeps containerd's client library from writing to stderr. The library also returns what it
// logs as errors.
var quiet = sync.OnceFunc(func() { _ = log.SetLevel("fatal") })

// Close closes the connection. Containers go on running.
func (c *Client) Close() error {
	err := c.client.Close()
	c.leaving.Wait() // it is short: without a connection their calls fail
	return err
}

// Version returns the version of the server, such as "2.4.2". If the server doesn't answer, the
// error is a [hint.Error].
func (c *Client) Version(ctx context.Context) (_ string, err error) {
	defer c.explain(ctx, "", &err)
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	v, err := c.client.Version(ctx)
	if err != nil {
		return "", c.unanswered(err)
	}
	return v.Version, nil
}

// ctx puts our namespace and a deadline of d into a call's context. A d of 0 or less sets no
// deadline.
func (c *Client) ctx(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx = namespaces.WithNamespace(ctx, c.cfg.Layout.Namespace)
	if d <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

// unanswered makes a [hint.Error] of an error that means that containerd isn't there. Other errors
// are bounded: containerd quotes names of an image's files, for example.
func (c *Client) unanswered(err error) error {
	var problem *hint.Error
	if errors.As(err, &problem) || !errdefs.IsUnavailable(err) && !errdefs.IsUnavailable(errgrpc.ToNative(err)) {
		return hint.Bound(err)
	}
	if listenerOf(c.cfg.Address) != 0 {
		return c.silentContainerd(err)
	}
	advice := "see whether containerd runs and the socket's path is right"
	if c.private() {
		advice = "the daemon starts its containerd again by itself; if that takes longer, see the daemon's log"
	}
	return &hint.Error{Err: fmt.Errorf("containerd at %s doesn't answer: %w", c.cfg.Address, err), Hint: advice}
}
