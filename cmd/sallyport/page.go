package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A page collects a text for people, to print it at once. It is empty again then. What is written
// to it is shown as by a [visibleWriter]. Only its own methods add colours, so no value can.
type page struct {
	*visibleWriter
	text bytes.Buffer
	to   io.Writer
}

// newPage returns an empty page for the screen that a writer of a [ui] or of another page has.
func newPage(to io.Writer) *page {
	p := &page{to: to}
	p.visibleWriter = &visibleWriter{w: &p.text}
	if v, ok := to.(shower); ok {
		p.screen = v.shown().screen
	}
	return p
}

// A shower is a writer that shows what a terminal would act on.
type shower interface{ shown() *visibleWriter }

func (v *visibleWriter) shown() *visibleWriter { return v }

// print prints the page.
func (p *page) print() error {
	p.flush()
	to := p.to
	if v, ok := to.(shower); ok { // the text has been through one
		v.shown().flush()
		to = v.shown().w
	}
	_, err := p.text.WriteTo(to)
	return err
}

// paint adds a coloured text.
func (p *page) paint(s style, text string) {
	if !p.color || s == plain {
		io.WriteString(p, text)
		return
	}
	p.flush()
	fmt.Fprintf(&p.text, "\x1b[%sm", s)
	io.WriteString(p, text)
	p.flush()
	p.text.WriteString("\x1b[0m")
}

// leastText is how many columns a text needs beside what stands before it.
const leastText = 24

const narrowIndent = 4

// end ends a line with a text, which goes on in further lines where it does not fit. They have an
// indent of so many columns, or a small one where too little room would be left.
func (p *page) end(indent int, text string) {
	p.flush()
	if p.width-indent < leastText {
		indent = narrowIndent
	}
	text = visible(joinLines(text))
	before := textWidth(string(p.text.Bytes()[bytes.LastIndexByte(p.text.Bytes(), '\n')+1:]))
	lines := wrap(text, p.width-before, p.width-indent)
	if p.width > 0 && before > narrowIndent && before+textWidth(lines[0]) > p.width {
		// Its first word is too long to stand there.
		indent = narrowIndent
		p.text.Truncate(len(bytes.TrimRight(p.text.Bytes(), " ")))
		lines = append([]string{""}, wrap(strings.TrimLeft(text, " "), p.width-indent, p.width-indent)...)
	}
	p.text.WriteString(strings.Join(lines, "\n"+strings.Repeat(" ", indent)) + "\n")
}

// visible returns a text as a [visibleWriter] shows it.
func visible(text string) string {
	var out bytes.Buffer
	v := &visibleWriter{w: &out}
	io.WriteString(v, text)
	v.flush()
	return out.String()
}
