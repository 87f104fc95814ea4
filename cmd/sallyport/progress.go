package main

import (
	"sync"
	"time"
)

// quiet is how long the daemon may send no line before the operator reads what a verb waits for. It
// is more than the usual grace of a stop. The pause doubles each time.
const quiet = 15 * time.Second

// A progress prints the daemon's lines while a verb waits for it. A verb that waits for long and
// prints nothing looks as if it hung.
type progress struct {
	ui     *ui
	before string // what the verb waits for before the first line

	mu    sync.Mutex
	last  string // the last line
	since time.Time
	pause time.Duration
	timer *time.Timer
	ended bool
}

// wait begins to print. The caller calls end.
func (u *ui) wait(before string) *progress {
	p := &progress{ui: u, before: before, since: time.Now(), pause: quiet}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(p.pause, p.remind)
	return p
}

// line prints a line of the daemon.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ui.notef("%s", text)
	p.last, p.since, p.pause = text, time.Now(), quiet
	p.timer.Reset(p.pause)
}

func (p *progress) remind() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	what := "waiting " + p.before
	if p.last != "" {
		what = "at \"" + p.last + "\""
	}
	p.ui.notef("still %s, for %s; Ctrl-C ends the waiting, not the work", what, time.Since(p.since).Round(time.Second))
	p.pause *= 2
	p.timer.Reset(p.pause)
}

// end prints no more.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.timer.Stop()
}
