package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifySystemd does nothing unless systemd started the daemon.
func notifySystemd(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd not notified", "state", state, "error", err)
	}
}

// readyWithin is how long systemd waits for the first look at all groups. A group file on a mount
// that gives no answer would else keep a boot waiting, until systemd ends the daemon for it.
const readyWithin = time.Minute

// notifyReady notifies systemd once ready is closed, or after readyWithin.
func notifyReady(ctx context.Context, ready <-chan struct{}, log *slog.Logger) {
	late := time.NewTimer(readyWithin)
	defer late.Stop()
	select {
	case <-ready:
		log.Info("group files are read, and all groups were looked at")
	case <-late.C:
		log.Warn("not all group files are read yet, or not all groups were looked at: see \"sallyport ps\"")
	case <-ctx.Done():
		return
	}
	notifySystemd(log, "READY=1")
}

// watchdogTime returns the WatchdogSec of the unit that the daemon runs in (systemd.service(5)).
// Zero means that there is none.
func watchdogTime(log *slog.Logger) time.Duration {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("systemd's watchdog is not fed", "error", err)
	}
	return limit
}

// States of the host (systemctl(1), is-system-running).
const (
	hostInitializing = "initializing"
	hostStarting     = "starting"
	hostStopping     = "stopping" // shutdown.target is active or about to be
)

// systemctlTime limits a question to systemd.
const systemctlTime = 20 * time.Second

// systemState returns the state of the host.
func systemState(ctx context.Context) (string, error) {
	state, err := systemctl(ctx, "is-system-running")
	if _, exits := errors.AsType[*exec.ExitError](err); exits && state != "" && state != "unknown" && state != "offline" {
		err = nil // it exits with 1 for each state but running
	}
	return state, err
}

// unitStart returns how a unit was started. first means that a job of systemd waits for it: systemd
// has not restarted it by itself. operator means that it is no part of a boot.
func unitStart(ctx context.Context, unit string) (first, operator bool, err error) {
	restarts, err := systemctl(ctx, "show", "--property=NRestarts", "--value", unit)
	if err != nil {
		return false, false, err
	}
	state, err := systemState(ctx)
	first = restarts == "0"
	return first, first && state != hostInitializing && state != hostStarting, err
}

func systemctl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, systemctlTime)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	if err != nil {
		err = fmt.Errorf("systemctl %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), err
}
