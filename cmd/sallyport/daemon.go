package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/ctrd"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/denials"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/cgroups"
	"github.com/sallyport/sallyport/shim/linux/disks"
	"github.com/sallyport/sallyport/shim/linux/network"
	"github.com/sallyport/sallyport/shim/linux/probe"
	"github.com/sallyport/sallyport/shim/linux/secrets"
	"github.com/sallyport/sallyport/shim/linux/volumes"
	"github.com/sallyport/sallyport/shim/logs/bound"
	"github.com/sallyport/sallyport/shim/logs/removed"
	"github.com/sallyport/sallyport/shim/metrics"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

type daemonVerb struct{ daemonFlags }

// Run keeps the groups until ctx ends. The groups continue to run without it.
func (v *daemonVerb) Run(ctx context.Context, ui *ui, in *instance, command *kong.Context) error {
	return endWithin(ctx, daemonGrace, func() error { return v.run(ctx, ui, in, command) })
}

// run refuses a host that can't keep the promise, before it makes anything.
func (v *daemonVerb) run(ctx context.Context, ui *ui, in *instance, command *kong.Context) error {
	if _, err := checkRoot(ctx); err != nil { // without root the configuration may not be readable
		return err
	}
	if err := in.conf.mustHold(ui); err != nil {
		return err
	}
	// Values of secrets pass through its memory, so no core file has that. It has no effect on what
	// the daemon starts, other than a limit on core files.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep the daemon's memory out of core files: %w", err)
	}
	l, err := in.layout(v.paths)
	if err != nil {
		return err
	}
	if err := runRequired(ctx, hostChecks(l, v.runtimeFlags, in.conf)); err != nil {
		return err
	}
	now, err := in.settings(command, &v.daemonFlags)
	if err != nil {
		return err
	}
	access, err := now.access()
	if err != nil {
		return err
	}
	demands, err := now.demands(ctx, lookAt)
	if err != nil {
		return err
	}
	if err := makeFolders(l); err != nil {
		return err
	}
	for _, dir := range []string{l.RunDir, l.StateDir} {
		lock, err := takeDaemonLock(dir)
		if err != nil {
			return err
		}
		defer lock.release()
	}
	verdict, err := selfTest(ctx, l)
	if err != nil {
		return err
	}
	spareStart(ui.environ)
	level := &slog.LevelVar{}
	level.Set(v.LogLevel.Level())
	log := newLog(ui, level)
	warnOfForwardPolicy(l.Table, log)
	if _, err := abstractText(verdict); err != nil {
		log.Warn(err.Error())
	}
	if _, err := refusalsText(verdict); err != nil {
		log.Info("refusals: " + err.Error())
	}
	if err := bound.WriteSettings(l.LogDir, now.output()); err != nil { // such as on a full disk
		log.Warn("output is bounded as before", "error", err)
	}
	conf := newConfigurationInForce(now, readAgain(command, lookAt), level, log)
	conf.bound = func(s bound.Settings) error { return bound.WriteSettings(l.LogDir, s) }
	return v.keep(ctx, l, network.Config{Layout: l, Separate: verdict.Joined == nil, Signals: verdict.Untold == nil, Log: log}, conf, access, demands, ui.environ, log)
}

// keep connects the parts and runs them until ctx ends or one of them fails. When it returns, all
// have ended, the private containerd last. A part that hangs is left behind.
func (v *daemonVerb) keep(ctx context.Context, l layout.Layout, net network.Config, conf *configurationInForce, access api.Access, demands signed.Demands, environ []string, log *slog.Logger) (err error) {
	address, private, err := v.openContainerd(ctx, l, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, private.end()) }()

	runtime, err := v.runtimePath()
	if err != nil {
		return err
	}
	registries := registry.New(l.LoginsPath(), conf.now.registries())
	conf.reach = func(next settings) { registries.Set(next.registries()) }
	if err := ctrd.UnmountLeftLooks(l); err != nil {
		log.Warn("an image stays mounted", "error", err)
	}
	client, err := ctrd.New(ctrd.Config{Address: address, Layout: l, HostShim: v.Shim == "host", Runtime: runtime, Log: log, BoundLayer: disks.BoundLayer, Registries: registries, Proofs: failpointProofs(l, environ)})
	if err != nil {
		return err
	}
	defer client.Close()
	client.SetDemands(demands)
	conf.sign = client.SetDemands
	network, err := network.New(net)
	if err != nil {
		return err
	}
	kept, err := network.KeepAddresses()
	if err != nil {
		return err
	}
	if len(kept) > 0 {
		log.Warn("groups keep addresses outside of the pool until they are stopped and started", "groups", strings.Join(kept, ", "))
	}
	cgroups, err := cgroups.New(l, log)
	if err != nil {
		return err
	}
	bounds := disks.NewBounds(l, cgroups, client.GroupLayers)
	events := &metrics.Events{}
	journal, err := journal.Open(journal.Config{Layout: l, Recorded: eachOf(events.Record, logEvents(log))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	drift, mounted, held := network.NewDrift(), volumes.New(l, address), secrets.New(l)
	changes := hearChanges(watch.Open, log)
	defer changes.Close()
	drift.Hear(changes)
	if changes != nil {
		cgroups.Hear(changes)
	}
	store := store.New(l)
	var denied *denials.Poller // before the keeper runs
	keeper, err := keeper.New(withFailpoints(keeper.Config{
		Config: runner.Config{
			Runtime: client, Network: network, Volumes: mounted, Secrets: held, Cgroups: bounds, Images: client, Devices: client, Log: log,
			Drift: drift, Prober: probe.New(l, client), Checks: client, Exec: client, Boot: bootClock(), Journal: journal, PortInUse: network.PortInUse, LastOutput: lastOutput(l),
			Incarnations: removed.Logs{Dir: l.LogDir}, Lost: events.Lost,
			WantOutput: wantOutput(l),
			Quiet: func(g *spec.Group, since time.Time) bool {
				return !g.BoundedDisk() && cgroups.Heard(g.Name) && drift.Quiet(g, since) && mounted.Quiet(g) && client.Quiet(g.Name, since)
			},
		},
		Denied: func(group string) uint64 { return denied.Flush(group) }, Processes: client, RunLimits: runLimits(conf.now),
		Store: store, Watcher: watchers{client, held}, Changes: drift, Outputs: client, Bounds: bounds, ImageStore: client, ImageNotes: client, Proofs: client, PublishNotes: network.PublishNotes, Shims: client, ImageDisk: disks.Of,
		Watchdog: keeper.Watchdog{Time: watchdogTime(log), Feed: func() { notifySystemd(log, "WATCHDOG=1") }},
	}, environ))
	if err != nil {
		return err
	}
	conf.prune = keeper.SetImageLimits
	conf.prune(conf.now.images())
	conf.runs = func(next settings) { keeper.SetRunLimits(runLimits(next)) }
	denied, err = denials.New(denials.Config{Door: network, Groups: keeper.Groups, Journal: journal, Layout: l, Log: log})
	if err != nil {
		return err
	}
	if changes != nil {
		network.TellDenials(changes, denied)
	}
	metrics, err := newMetrics(metrics.Config{
		Keeper: keeper, Door: network, Usage: cgroups.Usage, Output: outputSizes(l), Denied: denied.Denied, DeniedInbound: denied.DeniedInbound, Route: hasRoute,
		Unwritten: func() int { files, _ := store.Unwritten(); return files }, Events: events, Log: log,
	}, conf.now, access)
	if err != nil {
		return err
	}
	conf.metrics, conf.unserved = metrics.prepare, metrics.why
	server, err := api.NewServer(api.ServerConfig{
		Keeper: counting{keeper, network, keeper.LookAtBounds}, Exec: client, Logs: logSource(l, keeper.Status, keeper),
		Events: eventSource(journal.Events, keeper.Status), Configuration: withRegistries(conf.show), Version: daemonVersion(), Runtime: runtimeVersion(client), Disks: diskSource(l, client.Layers), Removed: removedSource(l), Log: log,
		Usage:  usageSource(l, disks.Sources{Layers: client.Layers, Images: keeper.ListImages, Memory: mounted.InMemory, Groups: keeper.Groups}),
		Images: keeper.ListImages, PruneImages: pruneSource(keeper.PruneImages),
		RemoveImages: keeper.RemoveImages, LoadImages: keeper.LoadImages, CurrentDigest: client.CurrentDigest,
		Copy: client, Forward: forwarder{network, recorder(journal, events.Lost, log)}, Signal: signalSource(client, recorder(journal, events.Lost, log)),
		Runs: runKeeper{keeper, l}, Registries: registries, Puller: keeper,
	})
	if err != nil {
		return err
	}
	socket, err := api.Listen(l.Socket(), access)
	if err != nil {
		return err
	}
	conf.admit = socket.Admit
	hangup, stop := hangups()
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return private.wait(ctx) })
	if !v.OutputService {
		bounding := outputProcess{layout: l, log: log, needless: func() bool { return keptNothing(keeper) }}
		g.Go(func() error { bounding.run(ctx); return nil })
	}
	g.Go(func() error { client.EndLeftExecs(ctx); return nil })
	g.Go(func() error { client.EndLeftLooks(ctx); return nil })
	g.Go(func() error { return keeper.Run(ctx) })
	g.Go(func() error {
		select {
		case <-keeper.Ready(): // before, the keeper knows no groups
			return denied.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error {
		select {
		case <-keeper.Known(): // before, a scrape would find no groups
			metrics.run(ctx)
		case <-ctx.Done():
		}
		return nil
	})
	load := func(ctx context.Context) error { conf.reload(); return keeper.Load(ctx) }
	g.Go(func() error { return reload(ctx, hangup, load, log) })
	g.Go(func() error {
		select {
		case <-keeper.Known(): // the group files may take long to read
			log.Info("daemon serves", "socket", l.Socket(), "containerd", address)
		case <-ctx.Done(): // Serve closes the socket
		}
		return server.Serve(ctx, socket)
	})
	g.Go(func() error {
		notifyReady(ctx, keeper.Ready(), log)
		spareMemory(environ)
		return nil
	})
	context.AfterFunc(ctx, func() { notifySystemd(log, "STOPPING=1") })
	return endWithin(ctx, partsGrace, g.Wait)
}

// watchers report what any of them reports.
type watchers []keeper.Watcher

// Watch implements [keeper.Watcher].
func (all watchers) Watch(ctx context.Context, changed func(group string)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, w := range all {
		g.Go(func() error { return w.Watch(ctx, changed) })
	}
	return g.Wait()
}

// hearChanges begins to hear the kernel's reports of changes on the host. A nil Watcher means that
// they can't be heard.
func hearChanges(open func() (*watch.Watcher, error), log *slog.Logger) *watch.Watcher {
	w, err := open()
	if err != nil {
		log.Warn("the network of every group is read each second, since its changes can't be heard", "error", err)
		return nil
	}
	return w
}

// pruneSource removes images for the control socket.
func pruneSource(prune func(context.Context, keeper.PruneRequest, func(host.ImageRemoval)) error) func(context.Context, api.PruneRequest, func(host.ImageRemoval)) error {
	return func(ctx context.Context, req api.PruneRequest, each func(host.ImageRemoval)) error {
		return prune(ctx, keeper.PruneRequest(req), each)
	}
}

// keptNothing reports whether the keeper has looked at the host and knows no group.
func keptNothing(keeper *keeper.Keeper) bool {
	select {
	case <-keeper.Ready():
		return len(keeper.Groups()) == 0
	default:
		return false
	}
}

// daemonVersion returns the daemon's answer to a request for its version.
func daemonVersion() api.VersionInfo {
	info := versionInfo()
	info.PID = os.Getpid()
	return info
}

// versionTimeout bounds the question for containerd's version.
const versionTimeout = 2 * time.Second

// runtimeVersion returns a function that asks containerd for its version. It asks for each request,
// and a containerd that does not answer is no error: the operator still gets the daemon's version.
func runtimeVersion(client *ctrd.Client) func(context.Context) string {
	return func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, versionTimeout)
		defer cancel()
		version, err := client.Version(ctx)
		if err != nil {
			return "containerd (does not answer)"
		}
		return "containerd " + version
	}
}

// logDirMode is the mode of the folder of all output.
const logDirMode = 0o750

// makeFolders makes the folders that the rest of the daemon expects. Only root can read the state.
// The run folder is open to all, because the socket in it checks the user itself.
func makeFolders(l layout.Layout) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{{l.RunDir, 0o711}, {l.StateDir, 0o700}, {l.LogDir, logDirMode}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return fmt.Errorf("make the daemon's folders: %w", err)
		}
	}
	return nil
}
