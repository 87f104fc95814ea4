package main

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// quiet is how long the daemon may send no line before the operator reads what a verb waits for. It
// is more than the usual grace of a stop. The pause doubles each time.
const quiet = 15 * time.Second

// A progress prints the daemon's lines while a verb waits for it. A verb that waits for long and
// prints nothing looks as if it hung.
//
// In a pipe each line is printed when it comes, and a long transfer has a line now and then. On a
// terminal the last line of each group and each transfer is drawn in place, with the time that it
// takes. It is printed for good when the next one comes. So the lines that stay are the same.
type progress struct {
	ui      *ui
	before  string        // what the verb waits for before the first line
	results []group.State // that the verb prints itself when it is done
	screen  *inPlace      // nil: no terminal
	began   time.Time

	mu    sync.Mutex
	parts []*part  // in work, in the order in which they began
	held  []string // lines with a result
	ended bool
	timer *time.Timer
	// In a pipe.
	last  string // the last line, or what is in work
	since time.Time
	pause time.Duration
	// On a terminal.
	stay  []string // lines to print for good
	drawn time.Time
}

// wait begins to print. The verb itself prints when a group is running, stopped or gone, or in one
// of the states. The caller calls end or after.
func (u *ui) wait(before string, states ...group.State) *progress {
	return u.waitOn(u.inPlace(), before, states...)
}

// waitOn is wait on a terminal. Nil means that there is none.
func (u *ui) waitOn(s *inPlace, before string, states ...group.State) *progress {
	now := time.Now()
	p := &progress{
		ui: u, before: before, results: append(states, group.Running, group.Stopped, group.Gone), screen: s,
		began: now, since: now, pause: quiet, drawn: now,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.screen != nil {
		p.timer = time.AfterFunc(redraw, p.draw)
	} else {
		p.timer = time.AfterFunc(p.pause, p.remind)
	}
	return p
}

// isName matches the names of groups.
var isName = regexp.MustCompile(`^[a-z0-9][-a-z0-9]*$`)

// watch returns the context for a call whose transfers are shown.
func (p *progress) watch(ctx context.Context) context.Context {
	return host.WithTransfers(ctx, p.transfer)
}

// line prints a line of the daemon.
func (p *progress) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	name, rest, _ := strings.Cut(text, ": ")
	if slices.Contains(p.results, group.State(rest)) {
		p.held = append(p.held, text)
		p.finish(name)
		return
	}
	if p.screen == nil || !isName.MatchString(name) || name == "warning" { // no work of a group
		p.print(text)
		return
	}
	p.finish(name)
	p.parts = append(p.parts, &part{key: name, text: text, since: time.Now()})
}

// transfer shows how far an image is.
func (p *progress) transfer(t host.Transfer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, key := time.Now(), "image "+t.Image
	i := slices.IndexFunc(p.parts, func(q *part) bool { return q.key == key })
	if i < 0 {
		i = len(p.parts)
		p.parts = append(p.parts, &part{key: key, since: now, pause: firstPause, printed: now})
	}
	q := p.parts[i]
	if q.told && q.now.Stage != t.Stage { // a new stage of a long transfer
		q.pause = 0
	}
	q.moved(t, now)
	p.changed()
	if p.screen == nil {
		p.waitsFor(q.plain(now), now)
	}
	switch {
	case t.Ended:
		p.parts = slices.Delete(p.parts, i, i+1)
		if text := transferred(t); text != "" {
			p.print(text)
		}
	case p.screen == nil && now.Sub(q.printed) >= q.pause:
		p.print(q.plain(now))
		q.printed, q.pause, q.told = now, min(max(2*q.pause, firstPause), longestPause), true
	}
}

// finish ends the part in work of a group: its line stays.
func (p *progress) finish(name string) {
	i := slices.IndexFunc(p.parts, func(q *part) bool { return q.key == name })
	if i >= 0 {
		p.print(p.parts[i].text)
		p.parts = slices.Delete(p.parts, i, i+1)
	}
	p.changed()
}

// print prints a line for good.
func (p *progress) print(text string) {
	if p.screen != nil {
		p.stay = append(p.stay, text)
		p.changed()
		return
	}
	p.ui.notef("%s", text)
	p.waitsFor(text, time.Now())
}

// waitsFor has the verb say what it waits for if nothing comes for a while.
func (p *progress) waitsFor(text string, now time.Time) {
	p.last, p.since, p.pause = text, now, quiet
	p.timer.Reset(p.pause)
}

// remind prints what the verb still waits for, in a pipe.
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
	p.ui.notef("still %s, for %s; %s", what, time.Since(p.since).Round(time.Second), endsWaiting)
	p.pause *= 2
	p.timer.Reset(p.pause)
}

const endsWaiting = "Ctrl-C ends the waiting, not the work"

// end prints no more. The verb now prints its result.
func (p *progress) end() { _ = p.after(nil) }

// after ends the progress after a call of the daemon, and returns the error of the call. With one,
// the results of other groups are printed: the verb doesn't.
func (p *progress) after(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return err
	}
	p.ended = true
	defer p.timer.Stop()
	for _, q := range p.parts {
		if q.text != "" {
			p.print(q.text)
		}
	}
	p.parts = nil
	if err != nil {
		for _, text := range p.held {
			p.print(text)
		}
	}
	if p.screen != nil {
		p.screen.draw(p.ui, p.stay, nil)
	}
	return err
}

// A part is work in progress: that of the last line about a group, or the transfer of an image.
type part struct {
	key   string
	text  string // the line. Empty for a transfer
	since time.Time

	// Of a transfer.
	now     host.Transfer
	samples []sample
	// Of one in a pipe.
	told    bool      // it has a line
	printed time.Time // when the last one was printed, or else when it began
	pause   time.Duration
}

// live returns the line of the part on a terminal: what it is, and how far.
func (q *part) live(now time.Time) liveLine {
	if q.text == "" {
		return liveLine{q.what(), q.far(now)}
	}
	return liveLine{q.text, elapsed(now.Sub(q.since))}
}

// elapsed returns how long something takes, once that is worth reading.
func elapsed(took time.Duration) string {
	if took < time.Second {
		return ""
	}
	return took.Truncate(time.Second).String()
}
