package runner

import (
	"sync"
	"time"
)

// A progress records whether the loop of a runner works by itself. It does not while it sleeps, and
// while a call to the host is in progress. Such a call may take as long as the host does: a
// containerd that hangs is no fault of the loop. A nil progress records nothing.
type progress struct {
	now func() time.Time

	mu    sync.Mutex
	away  int       // sleeps and calls to the host that have not ended
	since time.Time // since when away is 0. Zero: Run has not begun, or has ended
}

// begin records that the loop begins.
func (p *progress) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = p.now()
}

// end records that the loop has ended.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since = time.Time{}
}

// leave is called before a sleep or a call to the host, and back after it.
func (p *progress) leave() (back func()) {
	if p == nil {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.away--; p.away == 0 {
			p.since = p.now()
		}
	}
}

// Working returns for how long the loop has worked without a sleep and without a call to the host.
// A healthy loop needs milliseconds, or as long as the disk takes for a small file.
func (r *Runner) Working() time.Duration {
	p := r.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away > 0 || p.since.IsZero() {
		return 0
	}
	return p.now().Sub(p.since)
}
