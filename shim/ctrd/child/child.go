package child

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/pathwatch"
)

const (
	firstPause = 100 * time.Millisecond // pause before a containerd that died is started again; doubles
	lastPause  = 10 * time.Second       // longest pause
	stayedUp   = time.Minute            // after running this long, the pauses start over
	childGrace = 10 * time.Second       // from SIGTERM to SIGKILL
	outputCap  = 1 << 20                // bytes of its log that are kept
	trimEvery  = time.Minute
	lookEvery  = 30 * time.Second     // longest pause between looks at whether its socket is still there
	lookAgain  = time.Second          // longest pause after a look at which it was not
	readyPoll  = 5 * time.Millisecond // pause between looks for its socket
	atOnce     = 2 * time.Second      // ending within this counts as ending at once
	tries      = 3                    // after ending at once this often in a row, Ready gives up
	sunPath    = 107                  // bytes of a unix socket's path
)

// A Config is the place of a private containerd.
type Config struct {
	Root   string // required: images, snapshots and containers; survives a boot
	State  string // required: socket, config, log, and what runs; best on a tmpfs
	Binary string // optional: the containerd to run, its shim beside it; empty: the one on PATH
	// Runtime is the OCI runtime that must be there: a name on PATH, or a path. Optional: empty is
	// runc.
	Runtime string
	Log     *slog.Logger // optional: nil discards
}

// A Child is a private containerd, for a machine where none is configured. It ends with the daemon.
// Containers go on running without it. A containerd that outlived a killed daemon is found by its
// socket and taken over.
//
// If the state folder is emptied, its sockets get their paths back, now or at the next start.
// Such a containerd stays when the daemon ends: what the next one would need to find the containers
// that run was in that folder. It is the next daemon's, until it ends by itself or the host does.
type Child struct {
	cfg    Config
	log    *slog.Logger
	binary string

	regained []*os.File // the sockets' files; only for the goroutine of Run, or that of keepSockets

	mu     sync.Mutex
	deaths int    // in a row, each at once
	last   string // how the last one ended
}

// New looks for everything that a containerd needs, and starts nothing. If something is missing,
// the error is a [hint.Error].
func New(cfg Config) (*Child, error) {
	for name, dir := range map[string]string{"root": cfg.Root, "state": cfg.State} {
		if !filepath.IsAbs(dir) {
			return nil, fmt.Errorf("private containerd: %s folder %q is not an absolute path", name, dir)
		}
	}
	c := &Child{cfg: cfg, log: cfg.Log, binary: cfg.Binary}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if n := len(c.Address() + ".ttrpc"); n > sunPath {
		return nil, &hint.Error{
			Err:  fmt.Errorf("private containerd: the path of its socket, %s, is too long by %d bytes", c.Address(), n-sunPath),
			Hint: "choose a shorter run folder",
		}
	}
	if c.binary == "" {
		var err error
		if c.binary, err = FindContainerd(); err != nil {
			return nil, err
		}
	}
	if err := checkBinaries(c.binary, cmp.Or(cfg.Runtime, "runc")); err != nil {
		return nil, err
	}
	return c, nil
}

// Address is the socket that the private containerd serves.
func (c *Child) Address() string { return c.cfg.Address() }

// Address is the socket that a private containerd of this configuration serves.
func (c Config) Address() string { return filepath.Join(c.State, "containerd.sock") }

// path returns the path of a file of ours in the state folder.
func (c *Child) path(name string) string { return filepath.Join(c.cfg.State, name) }

// Run takes over a containerd that is running, or starts one. It starts it again when it dies, and
// ends it when ctx ends.
func (c *Child) Run(ctx context.Context) error {
	pause := firstPause
	for started := false; ctx.Err() == nil; started = true {
		began := time.Now()
		p, err := c.obtain()
		how := ""
		switch {
		case err == nil:
			if err := c.mind(ctx, p); err != nil {
				return fmt.Errorf("private containerd: %w", err)
			}
			how = p.how
		case !started:
			return fmt.Errorf("private containerd: %w", err)
		default: // a full disk, a binary being upgraded: it was possible once
			how = err.Error()
		}
		if ctx.Err() != nil {
			break
		}
		lived := time.Since(began)
		if lived >= stayedUp {
			pause = firstPause
		}
		c.died(how, lived)
		c.log.Warn("private containerd ended, starting it again", "how", how, "in", pause, "log", c.path("containerd.log"))
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
	return nil
}

// obtain finds a running containerd of ours or starts one.
func (c *Child) obtain() (*process, error) {
	p, err := findProcess(c.Address(), c.path("containerd.pid"), c.path("config.toml"))
	if err != nil {
		return nil, err
	}
	if p == nil {
		if p, err = c.findLost(); err != nil {
			return nil, err
		}
	}
	if p != nil {
		c.log.Info("took over a private containerd", "pid", p.pid)
		return p, nil
	}
	for _, dir := range []string{c.cfg.Root, c.cfg.State} {
		if err := os.MkdirAll(dir, 0o711); err != nil {
			return nil, err
		}
	}
	config := configFile(c.cfg.Root, c.path("state"), c.Address())
	if err := renameio.WriteFile(c.path("config.toml"), config, 0o600); err != nil {
		return nil, err
	}
	output, err := os.OpenFile(c.path("containerd.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	if p, err = startProcess(c.binary, c.path("config.toml"), output); err != nil {
		return nil, err
	}
	if err := renameio.WriteFile(c.path("containerd.pid"), []byte(strconv.Itoa(p.pid)+"\n"), 0o600); err != nil {
		err = errors.Join(err, p.end(childGrace))
		p.close()
		return nil, err
	}
	c.log.Info("started a private containerd", "binary", c.binary, "pid", p.pid)
	return p, nil
}

// findLost returns a running containerd of ours whose files are gone. It returns nil if there is
// none. One that can't be reached again is ended: two can't share the root folder.
func (c *Child) findLost() (*process, error) {
	p, err := scanProcess(c.path("config.toml"))
	if p == nil || err != nil {
		return nil, err
	}
	if err = c.regain(p); err == nil {
		return p, nil
	}
	c.log.Warn("a private containerd that runs can't be reached, ending it", "pid", p.pid, "error", err)
	defer p.close()
	return nil, p.end(childGrace)
}

// regain gives the sockets of the process their paths back, where they are gone.
func (c *Child) regain(p *process) error {
	if pid, err := peer(c.Address()); err == nil && pid == p.pid {
		return nil
	}
	if err := os.MkdirAll(c.cfg.State, 0o711); err != nil {
		return err
	}
	c.forgetSockets()
	for _, path := range []string{c.Address() + ".ttrpc", c.Address()} {
		file, err := p.regain(path)
		if err != nil {
			return err
		}
		c.regained = append(c.regained, file)
	}
	c.log.Warn("the private containerd's sockets were gone, they are there again", "pid", p.pid, "socket", c.Address())
	return nil
}

// forgetSockets closes the files of sockets that are not needed any more. First it removes the
// links to them: the number of a descriptor soon comes to mean another file.
func (c *Child) forgetSockets() {
	for _, file := range c.regained {
		if at, err := os.Lstat(file.Name()); err == nil && at.Mode().Type() == os.ModeSymlink {
			_ = os.Remove(file.Name())
		}
		_ = file.Close()
	}
	c.regained = nil
}

// emptied reports whether the state folder lost what a containerd in it was started with.
func (c *Child) emptied() bool {
	_, err := os.Stat(c.path("config.toml"))
	return errors.Is(err, os.ErrNotExist)
}

// mind keeps the log of the process short and its sockets at their paths, and returns when the
// process has ended. It ends the process when ctx ends, unless the state folder was emptied.
func (c *Child) mind(ctx context.Context, p *process) error {
	defer p.close()
	defer c.forgetSockets()
	keeping, stop := context.WithCancel(ctx)
	var keeper sync.WaitGroup
	keeper.Go(func() { c.keepSockets(keeping, p) })
	defer keeper.Wait()
	defer stop()
	tick := time.NewTicker(trimEvery)
	defer tick.Stop()
	for {
		if err := trim(c.path("containerd.log"), outputCap); err != nil {
			c.log.Warn("private containerd's log grows", "error", err)
		}
		select {
		case <-p.done:
			return nil
		case <-ctx.Done():
			keeper.Wait() // a containerd that ends removes its sockets
			if c.emptied() {
				c.log.Warn("the private containerd goes on: its state folder was emptied, and without it the containers would end", "pid", p.pid)
				return nil
			}
			if err := p.end(childGrace); err != nil {
				return err
			}
			_ = os.Remove(c.path("containerd.pid"))
			return nil
		case <-tick.C:
		}
	}
}

// keepSockets gives the sockets of the process their paths back, whenever they are gone, until ctx
// ends.
func (c *Child) keepSockets(ctx context.Context, p *process) {
	watch := pathwatch.New(c.Address())
	defer watch.Close()
	longest := lookAgain
	for {
		if watch.Wait(ctx, longest); ctx.Err() != nil {
			return
		}
		longest = lookEvery
		if _, err := os.Stat(c.Address()); err == nil {
			continue
		}
		err := c.regain(p)
		if err == nil {
			continue
		}
		longest = lookAgain
		if !errors.Is(err, os.ErrNotExist) { // it doesn't listen yet
			c.log.Warn("the private containerd's sockets are gone", "pid", p.pid, "error", err)
		}
	}
}

// died counts a death.
func (c *Child) died(how string, after time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deaths, c.last = c.deaths+1, how
	if after > atOnce {
		c.deaths = 0
	}
}

// Ready returns when the private containerd serves. It gives up with a [hint.Error] when ctx
// ends, or when containerd ends again and again before it serves.
func (c *Child) Ready(ctx context.Context) error {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		if _, err := peer(c.Address()); err == nil {
			return nil
		}
		c.mu.Lock()
		deaths, last := c.deaths, c.last
		c.mu.Unlock()
		if deaths >= tries {
			return c.notReady(fmt.Errorf("it ends at once (%s)", last))
		}
		select {
		case <-ctx.Done():
			return c.notReady(context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// notReady returns the error, with the last line of containerd's log.
func (c *Child) notReady(err error) error {
	if said := lastLine(c.path("containerd.log")); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return &hint.Error{
		Err:  fmt.Errorf("private containerd doesn't serve: %w", err),
		Hint: "read " + c.path("containerd.log"),
	}
}
