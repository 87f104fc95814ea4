package main

import (
	"context"
	"errors"
	"time"
)

// Limits on the end of the daemon after ctx has ended. All parts end within milliseconds, except
// the control socket, which lets requests send their last line for five seconds. But a system call
// of a part may be stuck in a file system that gives no answer. Such a part ends with the process.
const (
	partsGrace  = 7 * time.Second
	daemonGrace = 30 * time.Second // with a private containerd, which has 15 s of it
)

// endWithin returns the result of run. If run does not end within the grace after ctx has ended, it
// returns an error and leaves run behind.
func endWithin(ctx context.Context, grace time.Duration, run func() error) error {
	done := make(chan error, 1)
	go func() { done <- run() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errors.New("a part of the daemon did not end within " + grace.String() + ": it may wait for a file system that gives no answer")
	}
}
