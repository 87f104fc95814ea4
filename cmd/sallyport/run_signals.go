package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// The signals that a run passes on to its app. docker run and podman run pass these on, too.
var forApps = []os.Signal{
	syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGCONT,
}

// mostInterrupts is how many interrupts an app gets until the next one ends the waiting.
const mostInterrupts = 2

// A signalForward gives an app the signals of its caller.
type signalForward struct {
	forApp chan syscall.Signal
	ctx    context.Context // ends with an interrupt before the app runs, and with the third one
	stop   func()
}

// forwardSignals begins to do so. running reports whether the app runs: before, a signal that ends
// most programs ends the run. last is called when the next such signal ends the waiting.
func forwardSignals(parent context.Context, running func() bool, last func()) *signalForward {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(parent)) // the parent ends with the first signal
	caught := make(chan os.Signal, 8)
	signal.Notify(caught, forApps...)
	f := &signalForward{forApp: make(chan syscall.Signal, 8), ctx: ctx}
	ended := make(chan struct{})
	var passing sync.WaitGroup
	passing.Go(func() {
		interrupts := 0
		for {
			select {
			case s := <-caught:
				sig := s.(syscall.Signal)
				if endsPrograms(sig) {
					interrupts++
				}
				if endsPrograms(sig) && (!running() || interrupts > mostInterrupts) {
					cancel(&signalled{sig})
					continue
				}
				if interrupts == mostInterrupts {
					last()
				}
				select {
				case f.forApp <- sig:
				default: // the app has not taken the ones before
				}
			case <-ended:
				return
			}
		}
	})
	f.stop = func() {
		signal.Stop(caught)
		close(ended)
		passing.Wait()
		cancel(nil)
	}
	return f
}

// endsPrograms reports whether an operator ends a program with the signal.
func endsPrograms(sig syscall.Signal) bool {
	return sig == syscall.SIGINT || sig == syscall.SIGTERM || sig == syscall.SIGQUIT || sig == syscall.SIGHUP
}
