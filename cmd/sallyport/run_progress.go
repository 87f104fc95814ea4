package main

import (
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

// runQuiet is how long a run may take to start before its caller reads what it waits for. Most
// start sooner, and what the app prints is all that they want to see.
const runQuiet = time.Second

// A runProgress prints what a run waits for, until its app runs.
type runProgress struct {
	ui *ui

	mu    sync.Mutex
	timer *time.Timer
	late  bool   // runQuiet is over
	last  string // the last line, not printed yet
	place int
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
	case n.Place > 0 && n.Place != p.place:
		p.place = n.Place
		p.ui.notef("%s waits for its turn: place %d in the queue", n.ID, n.Place)
	}
	if n.Line != "" {
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
