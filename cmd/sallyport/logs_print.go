package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/api"
)

// labelColors are the colours of names on a terminal, in turn: those that can be read on a light
// and on a dark one.
var labelColors = []string{"36", "33", "32", "35", "34", "31"}

// A logPrinter prints lines of output. It keeps the first error of the writer, as bufio does.
type logPrinter struct {
	ui     *ui
	out    *bufio.Writer
	shown  io.Writer     // shows what a terminal would act on, into out
	text   io.Writer     // for what containers have printed, into out
	lines  *json.Encoder // nil: for people
	follow bool          // the next line may come much later
	times  bool
	color  bool
	groups bool // names have their group
	single bool // the only container: lines have no name

	width  int               // of the longest name so far
	colors map[string]string // by name
	open   source            // whose line was printed up to here, and goes on; zero: none
}

// A source prints lines: a container, or one of its streams.
type source struct{ group, container, stream string }

func newLogPrinter(ui *ui, v *logsVerb) *logPrinter {
	terminal := term.IsTerminal(int(ui.stdout.Fd()))
	p := &logPrinter{
		ui: ui, out: bufio.NewWriter(ui.stdout), follow: v.Follow, times: v.Timestamps,
		color: terminal && !noColor(ui.environ), colors: map[string]string{},
	}
	p.shown = &visibleWriter{w: p.out}
	if p.text = p.shown; !terminal || v.Raw {
		p.text = p.out
	}
	if v.JSON {
		p.lines = json.NewEncoder(p.shown)
		p.lines.SetEscapeHTML(false)
	}
	return p
}

// A jsonLine is a line of output as --json prints it.
type jsonLine struct {
	Group     string    `json:"group"`
	Container string    `json:"container"`
	Stream    string    `json:"stream,omitempty"`
	Time      time.Time `json:"time,omitzero"`
	Before    time.Time `json:"before,omitzero"` // instead of Time: it was written then or earlier
	Line      *string   `json:"line,omitempty"`
	Raw       []byte    `json:"raw,omitempty"`     // instead of Line, if it is not UTF-8
	Partial   bool      `json:"partial,omitempty"` // the line goes on in the next object of its source
	Missed    int64     `json:"missed,omitempty"`  // instead of Line: so many bytes
}

// print prints a line. An error is one of standard output.
func (p *logPrinter) print(group string, l api.LogLine) error {
	switch {
	case p.lines != nil:
		if err := p.lines.Encode(jsonOf(group, l)); err != nil {
			return err
		}
	case l.Missed > 0:
		if err := p.end(); err != nil {
			return err
		}
		p.ui.notef("%d bytes of %s were freed before they could be read", l.Missed, target{group, l.Container})
		return nil
	default:
		p.line(group, l)
	}
	if p.follow {
		return p.flush()
	}
	return nil
}

func jsonOf(group string, l api.LogLine) jsonLine {
	j := jsonLine{Group: group, Container: l.Container, Stream: l.Stream, Partial: l.Partial, Missed: l.Missed}
	if at := l.Time.UTC().Truncate(time.Millisecond); l.Latest {
		j.Before = at
	} else if !l.Time.IsZero() {
		j.Time = at
	}
	switch {
	case l.Missed > 0:
	case utf8.ValidString(l.Text):
		j.Line = &l.Text
	default:
		j.Raw = []byte(l.Text)
	}
	return j
}

// line prints a line for people, or a piece of one. The writer keeps the error.
func (p *logPrinter) line(group string, l api.LogLine) {
	of := source{group, l.Container, l.Stream}
	if p.open != of {
		p.endLine()
		p.begin(group, l)
	}
	io.WriteString(p.text, l.Text)
	p.open = of
	if !l.Partial {
		p.endLine()
	}
}

// endLine ends a line that was printed in part.
func (p *logPrinter) endLine() {
	if p.open != (source{}) {
		p.open = source{}
		io.WriteString(p.text, "\n")
	}
}

// begin prints what stands before the text of a line.
func (p *logPrinter) begin(group string, l api.LogLine) {
	if p.times {
		fmt.Fprintf(p.out, "%-*s ", len(time.RFC3339), timeText(l))
	}
	if name := p.label(group, l); name != "" {
		if p.color {
			p.out.WriteString("\x1b[" + p.colors[name] + "m")
		}
		fmt.Fprintf(p.shown, "%-*s", p.width, name)
		if p.color {
			p.out.WriteString("\x1b[0m")
		}
		p.out.WriteString(" | ")
	}
}

// timeText returns when a line was written, in the zone of the operator.
func timeText(l api.LogLine) string {
	switch text := l.Time.Local().Format(time.RFC3339); {
	case l.Time.IsZero():
		return "-"
	case l.Latest:
		return "<" + text
	default:
		return text
	}
}

// label returns the name that a line begins with. The only container has none, but for its stream.
func (p *logPrinter) label(group string, l api.LogLine) string {
	name := l.Container
	switch {
	case p.single:
		name = ""
	case p.groups:
		name = group + "." + name
	}
	if l.Stream != "" && name != "" {
		name += " "
	}
	name += l.Stream
	p.width = max(p.width, len(name))
	if _, known := p.colors[name]; !known {
		p.colors[name] = labelColors[len(p.colors)%len(labelColors)]
	}
	return name
}

func (p *logPrinter) flush() error { return p.out.Flush() }

// end ends what was printed, if need be in the middle of a line.
func (p *logPrinter) end() error {
	p.endLine()
	return p.flush()
}
