package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"
)

// redraw is the shortest time between two drawings, and tick the longest one.
const (
	redraw = 250 * time.Millisecond
	tick   = time.Second
)

// An inPlace draws lines at the end of a terminal in place of those that it has drawn before. It
// leaves no mode of the terminal changed, so a command that is killed leaves nothing behind.
type inPlace struct {
	w      io.Writer
	size   func() screen
	widths []int // of the lines that are drawn
}

// A liveLine names something in work, and how far it is. A name that is too long loses its middle.
type liveLine struct{ what, far string }

// inPlace returns the terminal of standard error. Nil means that it is none, or can't move its
// cursor.
func (u *ui) inPlace() *inPlace {
	if name := envValue(u.environ, "TERM"); u.stderr == nil || name == "" || name == "dumb" || screenOf(u.stderr, nil).width == 0 {
		return nil
	}
	return &inPlace{w: u.stderr, size: func() screen {
		s := screenOf(u.stderr, u.environ)
		s.width = min(s.width, screenOf(u.stderr, nil).width) // a line that is wider would wrap
		return s
	}}
}

// draw prints messages that stay, and below them the lines in work. They take the place of the
// lines that were in work at the last drawing.
func (d *inPlace) draw(u *ui, stay []string, live []liveLine) {
	s := d.size()
	var out bytes.Buffer
	up := 0
	for _, n := range d.widths {
		up += max(1, (n+s.width-1)/s.width) // a terminal that is narrower by now has wrapped them
	}
	if up > 0 {
		fmt.Fprintf(&out, "\r\x1b[%dA%s", up, clearBelow)
	}
	d.widths = nil
	for _, text := range stay {
		u.note(&visibleWriter{w: &out, screen: s}, text)
	}
	switch room := s.height - 1; { // the cursor is below them
	case room < 1:
		live = nil
	case len(live) > room:
		more := len(live) - room + 1
		live = append(live[:room-1:room-1], liveLine{what: fmt.Sprintf("and %d more", more)})
	}
	for _, line := range live {
		text := line.fit(s.width - 1)
		d.widths = append(d.widths, textWidth(text))
		out.WriteString(text + "\n")
	}
	if out.Len() > 0 {
		_, _ = d.w.Write(out.Bytes()) // in one piece; the verb's own output has the error
	}
}

// fit returns the line in so many columns.
func (l liveLine) fit(columns int) string {
	what, far := oneLine(l.what), oneLine(l.far)
	if far != "" {
		far = "  " + far
	}
	return cutTail(cutMiddle(what, max(columns-textWidth(far), columns/2))+far, columns)
}

// oneLine returns a text as a terminal shows it, on one line.
func oneLine(text string) string {
	return strings.ReplaceAll(visible(joinLines(text)), "\t", " ")
}

// cutMiddle is a cutter that keeps the beginning and the end.
func cutMiddle(text string, columns int) string {
	if textWidth(text) <= columns {
		return text
	}
	end := cutHead(text, (columns+len(cutMark))/2)
	return strings.TrimSuffix(cutTail(text, columns-textWidth(end)+len(cutMark)), cutMark) + end
}

// changed has the parts drawn soon. The caller holds mu.
func (p *progress) changed() {
	if p.screen != nil && !p.ended {
		p.timer.Reset(max(0, redraw-time.Since(p.drawn)))
	}
}

// draw draws the parts in work.
func (p *progress) draw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	switch wait := redraw - now.Sub(p.drawn); {
	case p.ended:
		return
	case wait > 0: // the timer was set again meanwhile
		p.timer.Reset(wait)
		return
	}
	var live []liveLine
	for _, q := range p.parts {
		live = append(live, q.live(now))
	}
	if took := now.Sub(p.began); len(live) == 0 && len(p.held) == 0 && took >= tick {
		live = append(live, liveLine{"waiting " + p.before, elapsed(took)})
	}
	if len(live) > 0 && now.Sub(p.began) >= quiet {
		live = append(live, liveLine{what: "(" + endsWaiting + ")"})
	}
	p.screen.draw(p.ui, p.stay, live)
	p.stay = nil
	p.drawn = now
	p.timer.Reset(tick)
}
