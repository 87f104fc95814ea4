package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/ctrd"
)

type daemonVerb struct {
	place
	runtimeFlags
	Shim     string     `enum:"group,host" default:"group" placeholder:"group|host" env:"SALLYPORT_SHIM" help:"One runc shim for each group, or one for the whole host, which takes less memory."`
	LogLevel slog.Level `default:"info" placeholder:"LEVEL" env:"SALLYPORT_LOG_LEVEL" help:"debug, info, warn or error."`
}

// Run refuses a host that can't keep the promise before it makes anything, then keeps the groups until ctx ends. The groups
// run on without it.
func (v *daemonVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	l, err := in.layout(v.place)
	if err != nil {
		return err
	}
	if err := requireVital(ctx, hostNeeds(l, v.runtimeFlags)); err != nil {
		return err
	}
	if err := makeFolders(l); err != nil {
		return err
	}
	for _, dir := range []string{l.RunDir, l.StateDir} {
		lock, err := takeLock(dir)
		if err != nil {
			return err
		}
		defer lock.release()
	}
	if _, err := checkSelf(ctx, l); err != nil {
		return err
	}
	spareMemory(ui.environ)
	log := slog.New(slog.NewTextHandler(ui.err, &slog.HandlerOptions{Level: v.LogLevel}))
	warnOfForwardPolicy(l.Table, log)
	return v.keep(ctx, l, newCrash(ui.environ), log)
}

// keep wires the parts together and runs them until ctx ends or one of them fails; when it returns all have ended, the
// private containerd last.
func (v *daemonVerb) keep(ctx context.Context, l shim.Layout, crash *crash, log *slog.Logger) (err error) {
	address, private, err := v.openContainerd(ctx, l, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, private.end()) }()

	client, err := ctrd.New(ctrd.Config{Address: address, Layout: l, HostShim: v.Shim == "host", Log: log})
	if err != nil {
		return err
	}
	defer client.Close()
	network, err := shim.NewHostNetwork(shim.HostNetworkConfig{Layout: l, Log: log})
	if err != nil {
		return err
	}
	cgroups, err := shim.NewHostCgroups(l, log)
	if err != nil {
		return err
	}
	journal, err := shim.OpenJournal(shim.JournalConfig{Layout: l})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	lookout := network.Lookout()
	keeper, err := shim.New(shim.Config{
		RunnerConfig: crash.watch(shim.RunnerConfig{
			Runtime: client, Network: network, Volumes: shim.NewHostVolumes(l, address), Cgroups: cgroups, Images: client, Store: shim.NewStore(l), Log: log,
			Drift: lookout, Prober: shim.NewHostProber(l, client), Journal: journal, PortInUse: network.PortInUse, LastOutput: lastWords(l),
		}),
		Watcher: client, Changes: lookout,
	})
	if err != nil {
		return err
	}
	poller, err := shim.NewPoller(shim.PollerConfig{Door: network, Groups: keeper.Groups, Journal: journal, Layout: l, Log: log})
	if err != nil {
		return err
	}
	server, err := api.NewServer(api.ServerConfig{
		Keeper: counting{keeper, network}, Exec: client, Logs: logSource(l, keeper.Status),
		Events: eventSource(journal.Events, keeper.Status), Version: daemonVersion(), Runtime: runtimeVersion(client), Log: log,
	})
	if err != nil {
		return err
	}
	socket, err := api.Listen(l.Socket())
	if err != nil {
		return err
	}
	hangup, stop := hangups()
	defer stop()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return private.wait(ctx) })
	g.Go(func() error { client.EndLeftExecs(ctx); return nil })
	g.Go(func() error { return keeper.Run(ctx) })
	g.Go(func() error {
		select {
		case <-keeper.Ready(): // before, it knows of no groups
			return poller.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	g.Go(func() error { return reload(ctx, hangup, keeper.Load, log) })
	g.Go(func() error {
		select {
		case <-keeper.Ready():
			log.Info("daemon serves", "socket", l.Socket(), "containerd", address)
			tellSystemd(log, "READY=1")
		case <-ctx.Done(): // Serve closes the socket
		}
		return server.Serve(ctx, socket)
	})
	context.AfterFunc(ctx, func() { tellSystemd(log, "STOPPING=1") })
	return g.Wait()
}

// daemonVersion is what the daemon answers when it is asked who it is.
func daemonVersion() api.VersionInfo {
	info := versionInfo()
	info.PID = os.Getpid()
	return info
}

// answersWithin is how long containerd may take to say which one it is.
const answersWithin = 2 * time.Second

// runtimeVersion asks containerd which one it is, and only when somebody wants to know: one that doesn't answer is no reason to
// keep an operator from a daemon that could tell so.
func runtimeVersion(client *ctrd.Client) func(context.Context) string {
	return func(ctx context.Context) string {
		ctx, cancel := context.WithTimeout(ctx, answersWithin)
		defer cancel()
		version, err := client.Version(ctx)
		if err != nil {
			return "containerd, which doesn't answer"
		}
		return "containerd " + version
	}
}

// makeFolders makes what the rest expects to exist. Only root looks into what is wanted; the way into the run folder is
// open, since the socket in it has a lock of its own.
func makeFolders(l shim.Layout) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{{l.RunDir, 0o711}, {l.StateDir, 0o700}, {l.LogDir, 0o750}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return fmt.Errorf("make the daemon's folders: %w", err)
		}
	}
	return nil
}
