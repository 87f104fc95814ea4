package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// hangups delivers SIGHUP until stop is called. Without it SIGHUP would end the process. Several
// signals at once count as one.
func hangups() (hangup <-chan os.Signal, stop func()) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, unix.SIGHUP)
	return c, func() { signal.Stop(c) }
}

// reload reads the group files again after every SIGHUP, until ctx ends. A folder that can't be
// read is logged and does not end the daemon: the operator can repair it.
func reload(ctx context.Context, hangup <-chan os.Signal, load func(context.Context) error, log *slog.Logger) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
		}
		notifySystemd(log, "RELOADING=1\n"+daemon.SdNotifyMonotonicUsec())
		if err := load(ctx); err != nil {
			log.Error("group files not read", "error", err)
		}
		notifySystemd(log, "READY=1")
	}
}
