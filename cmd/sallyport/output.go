package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/bound"
	"github.com/sallyport/sallyport/shim/logs/journald"
	"github.com/sallyport/sallyport/shim/logs/wanted"
)

// outputFlags are the daemon's. It writes them down for the process that bounds the output, which
// reads no configuration of its own.
type outputFlags struct {
	OutputSize    string `default:"50MiB" placeholder:"SIZE" env:"SALLYPORT_OUTPUT_SIZE" help:"How much is kept of what a container prints, the newest (default 50MiB)."`
	OutputTotal   string `placeholder:"SIZE" env:"SALLYPORT_OUTPUT_TOTAL" help:"How much all output may take, of removed groups too (default a tenth of the disk, 4GiB at most)."`
	OutputRemoved string `default:"24h" placeholder:"TIME" env:"SALLYPORT_OUTPUT_REMOVED" help:"How long the output of a removed group is kept (default 24h)."`
	// OutputService is set by the daemon's unit: sallyport-output.service bounds the output then.
	OutputService bool `hidden:"" env:"SALLYPORT_OUTPUT_SERVICE" help:"Output is bounded by \"sallyport output\", which the daemon does not start."`
}

// output returns the settings for the output. They are sound: [instance.settings] has checked them.
func (s settings) output() (out bound.Settings) {
	out.Size, _ = config.OutputSize(s.flags.OutputSize)
	if s.flags.OutputTotal != "" {
		out.Total, _ = config.OutputTotal(s.flags.OutputTotal)
	}
	out.Removed, _ = config.OutputRemoved(s.flags.OutputRemoved)
	return out
}

type outputVerb struct {
	LogDir   string   `placeholder:"DIR" env:"SALLYPORT_LOG_DIR" help:"Folder of the containers' output (default /var/log/sallyport, or DIR/log with --root)."`
	LogLevel logLevel `default:"info" placeholder:"LEVEL" env:"SALLYPORT_LOG_LEVEL" help:"Lowest level that is logged: debug, info, warn or error (default info)."`
}

// Run bounds the output of all groups until ctx ends, whether or not there is a daemon. A mistake
// in the configuration is no reason to let the disk fill up.
func (v *outputVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	if _, err := checkRoot(ctx); err != nil {
		return err
	}
	l, err := in.layout(paths{LogDir: v.LogDir})
	if err != nil {
		return err
	}
	if err := checkOwned("log folder", l.LogDir, lookAt); err != nil {
		return err
	}
	if err := os.MkdirAll(l.LogDir, logDirMode); err != nil {
		return fmt.Errorf("make the folder of the output: %w", err)
	}
	log := newLog(ui, v.LogLevel)
	if problem := in.conf.problem(); problem != nil {
		log.Warn("configuration has a mistake; what counts here is the folder of the output", "folder", l.LogDir, "error", problem)
	}
	lock, err := bound.Lock(l.LogDir)
	if errors.Is(err, bound.ErrHeld) {
		return unmet("end that one first", "%w: %s, in %s", bound.ErrHeld, processText(holderOf(l)), l.LogDir)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	started := make(chan struct{})
	changed := make(chan struct{}, 1)
	b, err := bound.New(bound.Config{LogDir: l.LogDir, Log: log, Started: func() { close(started) }, Changed: func() {
		select {
		case changed <- struct{}{}:
		default: // the one before was not taken yet
		}
	}})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { notifySystemd(log, "STOPPING=1") })
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer end() // its folder may be gone: another process begins with the next one
		return b.Run(ctx)
	})
	g.Go(func() error {
		select {
		case <-started:
		case <-ctx.Done():
			return nil
		}
		if err := bound.DropRights(); err != nil {
			log.Warn("runs with more rights than it needs", "error", err)
		}
		notifySystemd(log, "READY=1")
		spareMemory(ui.environ)
		return journald.Run(ctx, journald.Config{LogDir: l.LogDir, Log: log, Changed: changed})
	})
	return g.Wait()
}

// holderOf returns the process that bounds the output, or 0.
func holderOf(l layout.Layout) int {
	pid, _ := bound.Holder(l.LogDir)
	return pid
}

// processText names a process. One of another namespace, and one that only took over the lock of
// its parent, can't be found.
func processText(pid int) string {
	if pid == 0 {
		return "one that can't be found"
	}
	return fmt.Sprintf("process %d", pid)
}

// checkOutput looks for the process that bounds the output.
func checkOutput(ctx context.Context, l layout.Layout) (string, error) {
	pid, err := bound.Holder(l.LogDir)
	if errors.Is(err, os.ErrNotExist) {
		return "there is none yet", nil
	}
	if err != nil {
		return "", err
	}
	if pid == 0 {
		return "", unbounded(ctx, l)
	}
	if !boundsOutput(pid) {
		return "", unmet("end that one first", "no process bounds it: process %d, which is no \"sallyport output\", holds a lock on %s", pid, l.LogDir)
	}
	found := fmt.Sprintf("process %d bounds it", pid)
	switch err := bound.CanFree(l.LogDir); {
	case errors.Is(err, errors.ErrUnsupported):
		return "", &note{
			text: found + ". The file system of " + l.LogDir + " can't free the head of a file, so output that reaches its limit is deleted and begins again",
			hint: "put the folder on ext4, xfs, btrfs or tmpfs: folders.logs in sallyport.hcl",
		}
	case err != nil:
		return "", &note{text: found + ". " + l.LogDir + " takes no new file: " + err.Error(), hint: "see the line of the disks"}
	}
	if err := journalMissing(l, journald.DefaultSocket); err != nil {
		return "", err
	}
	return found, nil
}

// journalMissing returns a note if a group asks for systemd's journal, and none takes entries at
// the socket.
func journalMissing(l layout.Layout, socket string) error {
	if _, err := os.Stat(socket); err == nil {
		return nil
	}
	files, _ := filepath.Glob(l.LogPath("*", "*"))
	for _, file := range files {
		group, container, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(file, l.LogDir+"/"), ".log"), "/")
		if wanted.Read(filepath.Dir(file))[container].Journal {
			return &note{
				text: fmt.Sprintf("%s.%s asks for the journal, and there is none at %s: its output waits, and goes when its size is reached", group, container, socket),
				hint: "start systemd-journald, or take \"journal\" out of its output block",
			}
		}
	}
	return nil
}

// unbounded is the error for output that no process bounds. Without a daemon nothing is wrong yet.
func unbounded(ctx context.Context, l layout.Layout) error {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	if _, err := api.NewClient(l.Socket()).WithPatience(patience).Problems(ctx); errors.Is(err, api.ErrNoDaemon) {
		return &note{text: "no process bounds it, and no daemon runs that would start one", hint: "start the daemon, or type: " + startOutput(l)}
	}
	return unmet(startOutput(l), "no process bounds it, so it grows until the disk is full")
}

// startOutput returns the command that has the output bounded.
func startOutput(l layout.Layout) string {
	if bySystemd() {
		return "systemctl start sallyport-output"
	}
	return "sallyport output --log-dir " + l.LogDir + " &"
}

// bySystemd reports whether the output of this host is bounded by a unit of systemd.
func bySystemd() bool {
	_, err := os.Stat("/run/systemd/system") // sd_booted(3)
	return err == nil
}
