package main

import (
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// runQuiet is how long a run may take to start before its caller reads what it waits for. Most
// start sooner, and what the app prints is all that they want to see.
const runQuiet = time.Second

// A place in the queue is printed at once, and a changed one after these pauses, which double: many
// callers wait at the same time, and each moves with every run that ends.
const firstPlacePause, mostPlacePause = 5 * time.Second, time.Minute

// A runProgress prints what a run waits for, until its app runs.
type runProgress struct {
	ui *ui

	mu    sync.Mutex
	timer *time.Timer
	late  bool   // runQuiet is over
	last  string // the last line, not printed yet
	place int
	told  time.Time     // when the place was printed
	pause time.Duration // until it is printed again, if it has changed
	runs  bool
}

func newRunProgress(ui *ui) *runProgress {
	p := &runProgress{ui: ui}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(runQuiet, p.tell)
	return p
}

// tell prints the last line, and each one that follows.
func (p *runProgress) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.late = true
	p.printLast()
}

// printLast prints the line that is held back. The caller holds mu.
func (p *runProgress) printLast() {
	if p.late && !p.runs && p.last != "" {
		p.ui.notef("%s", p.last)
		p.last = ""
	}
}

func (p *runProgress) notice(n group.RunNotice) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case n.Dropped > 0:
		p.ui.notef("warning: %d bytes of %s are missing here: they were more than is kept, and went before they could be read", n.Dropped, n.Stream)
	case n.State == group.RunRunning || n.State.Over():
		p.runs = true
	case n.Place > 0 && n.Place != p.place && time.Since(p.told) >= p.pause:
		p.place, p.told, p.pause = n.Place, time.Now(), min(max(2*p.pause, firstPlacePause), mostPlacePause)
		p.ui.notef("%s waits for its turn: place %d in the queue", n.ID, n.Place)
	}
	switch {
	case n.Line == "":
	case p.runs && strings.HasPrefix(n.Line, n.ID+": SIG"): // what became of a signal of the caller
		p.ui.notef("%s", n.Line)
	default:
		p.last = n.Line
		p.printLast()
	}
}

// running reports whether the app has begun to run.
func (p *runProgress) running() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.runs
}

func (p *runProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Stop()
	p.runs = true
}
