package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A table is aligned text: a header and rows. A row may have notes below it.
//
// On a screen that is too narrow, cells are cut and the least needed columns are left out. A pipe
// gets every column, and whole cells.
type table struct {
	indent string
	header []string
	least  []string          // columns that may be left out, the least needed first
	cut    map[string]cutter // columns whose cells may be cut
	styles map[string]func(cell string) style
	rows   []row
}

type row struct {
	cells []string
	notes []string // printed below the row, indented
}

func (t *table) add(cells ...string) *row {
	t.rows = append(t.rows, row{cells: cells})
	return &t.rows[len(t.rows)-1]
}

const (
	columnGap = 2
	leastCut  = 16 // columns that a cell keeps, as long as a column can be left out instead
)

// writeTo prints the table. An error is that of the writer.
func (t *table) writeTo(w io.Writer) error {
	p := newPage(w)
	rows := make([][]string, len(t.rows))
	natural := make([]int, len(t.header))
	for i, name := range t.header {
		natural[i] = textWidth(name)
	}
	for n, r := range t.rows {
		for i, cell := range r.cells {
			cell = orDash(visible(strings.ReplaceAll(joinLines(cell), "\t", " ")))
			rows[n] = append(rows[n], cell)
			natural[i] = max(natural[i], textWidth(cell))
		}
	}
	widths := t.fit(natural, p.width)
	t.writeRow(p, widths, t.header, func(string, string) style { return bold })
	for n, r := range t.rows {
		t.writeRow(p, widths, rows[n], t.styleOf)
		for _, note := range r.notes {
			writeNote(p, t.indent+"  ", note)
		}
	}
	return p.print()
}

// writeNote prints a line below another one. An error is red.
func writeNote(p *page, indent, note string) {
	io.WriteString(p, indent)
	if text, failed := strings.CutPrefix(note, "error: "); failed {
		p.paint(red, "error:")
		note = " " + text
	}
	p.end(len(indent)+2, note)
}

func (t *table) styleOf(column, cell string) style {
	if of := t.styles[column]; of != nil {
		return of(cell)
	}
	return plain
}

// writeRow prints a row of cells. A column without a width is left out.
func (t *table) writeRow(p *page, widths []int, cells []string, styleOf func(column, cell string) style) {
	io.WriteString(p, t.indent)
	gap := 0
	for i, cell := range cells {
		if widths[i] == 0 {
			continue
		}
		io.WriteString(p, strings.Repeat(" ", gap))
		how := t.cut[t.header[i]]
		if how == nil {
			how = cutTail
		}
		text := how(cell, widths[i])
		p.paint(styleOf(t.header[i], cell), text)
		gap = widths[i] - textWidth(text) + columnGap
	}
	fmt.Fprintln(p)
}

// fit returns the widths of the columns on a screen of so many columns, where 0 means any number. A
// column that is left out has the width 0.
func (t *table) fit(natural []int, columns int) []int {
	widths := slices.Clone(natural)
	left := t.least
	for columns > 0 && !t.shrink(widths, t.lineWidth(widths)-columns, len(left) == 0) {
		widths[slices.Index(t.header, left[0])] = 0
		left = left[1:]
	}
	return widths
}

func (t *table) lineWidth(widths []int) int {
	sum := len(t.indent) - columnGap
	for _, w := range widths {
		if w > 0 {
			sum += w + columnGap
		}
	}
	return sum
}

// shrink makes the columns that may be cut narrower, by so much together, if that is enough. As the
// last resort any column may be cut, and what is still too wide stays so.
func (t *table) shrink(widths []int, over int, lastResort bool) bool {
	least := func(i int) int {
		switch {
		case lastResort:
			return len(cutMark) + 1
		case t.cut[t.header[i]] != nil:
			return max(leastCut, textWidth(t.header[i]))
		}
		return widths[i]
	}
	shrunk := slices.Clone(widths)
	for ; over > 0; over-- {
		widest := -1
		for i, w := range shrunk {
			if w > least(i) && (widest < 0 || w > shrunk[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		shrunk[widest]--
	}
	if over > 0 && !lastResort {
		return false
	}
	copy(widths, shrunk)
	return true
}

// orDash replaces an empty cell by a dash, so that every row has the same number of fields for a
// reader or awk.
func orDash(cell string) string {
	if cell == "" {
		return "-"
	}
	return cell
}

// age returns the time since t, as "42s", "5m", "3h" or "9d", or "" if t is zero.
func age(now, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	d := max(0, now.Sub(t))
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
