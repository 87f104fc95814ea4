package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// hangups delivers SIGHUP, which would end the process otherwise, until stop is called. Several at once are one.
func hangups() (hangup <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// reload reads the group files again at every hangup until ctx ends. A folder that can't be read is the operator's to mend,
// and no reason to end.
func reload(ctx context.Context, hangup <-chan os.Signal, load func(context.Context) error, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		}
		tellSystemd(log, "RELOADING=1\n"+daemon.SdNotifyMonotonicUsec())
		if err := load(ctx); err != nil {
			log.Error("group files not read", "error", err)
		}
		tellSystemd(log, "READY=1")
	}
}

// tellSystemd does nothing where the daemon wasn't started by systemd.
func tellSystemd(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd not told", "state", state, "error", err)
	}
}
