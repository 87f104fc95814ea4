package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// A table is aligned text: a header and rows. A row may have notes below it.
type table struct {
	indent string
	header []string
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

// writeTo aligns the rows first, and then inserts the notes, since a note has no columns.
func (t *table) writeTo(w io.Writer) error {
	var aligned bytes.Buffer
	tw := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(t.header, "\t"))
	for _, r := range t.rows {
		cells := make([]string, len(r.cells))
		for i, cell := range r.cells {
			cells[i] = orDash(strings.ReplaceAll(joinLines(cell), "\t", " "))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	var out bytes.Buffer
	for i, line := range strings.Split(strings.TrimSuffix(aligned.String(), "\n"), "\n") {
		fmt.Fprintln(&out, strings.TrimRight(t.indent+line, " "))
		if i == 0 {
			continue
		}
		for _, note := range t.rows[i-1].notes {
			fmt.Fprintf(&out, "%s  %s\n", t.indent, joinLines(note))
		}
	}
	_, err := w.Write(out.Bytes())
	return err
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
