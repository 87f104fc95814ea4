package promise

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// Words of the matrix. A row saw one of these, or holds what went wrong.
const (
	nothing  = "nothing"  // no packet at the capture
	frames   = "packets"  // some
	answered = "answered" // the other side answered
	silent   = "no answer"
	asBefore = "nothing changed, no packet"
)

// ifThere marks a control that only a kernel with the protocol can give. MATRIX.md has the
// footnote.
const ifThere = "¹"

// A row is one attempt. It holds nothing that differs from run to run, or from kernel to kernel.
type row struct {
	technique string
	family    string // v4, v6, or empty
	who       string // who tried
	expected  string
	seen      string
	told      string // the result of the attacker's calls, as outcome.told returns it; empty if it can't know
	control   string // who did the same and was seen doing it
}

// A section is one part of the matrix as it ran. Its title begins with the number of the class.
type section struct {
	t     testing.TB
	title string
	mu    sync.Mutex
	rows  []row
}

// newSection returns a section that is compared with the document when the test ends.
func newSection(t testing.TB, title string) *section {
	s := &section{t: t, title: title}
	t.Cleanup(s.close)
	return s
}

func (s *section) close() {
	text := s.table()
	s.t.Logf("%s\n\n%s", s.title, text)
	if !s.t.Failed() && !s.t.Skipped() {
		s.compare(text)
	}
}

// add records a row. If it saw anything but what was expected, the test fails with about.
func (s *section) add(r row, about ...any) {
	s.t.Helper()
	if r.seen != r.expected {
		s.t.Errorf("%s, %s %s from %s: %s, want %s: %v", s.title, r.technique, r.family, r.who, r.seen, r.expected, about)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, r)
}

// control names the control in all rows of a technique and family.
func (s *section) control(technique, family, who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.rows {
		if s.rows[i].technique == technique && s.rows[i].family == family {
			s.rows[i].control = who
		}
	}
}

// table returns the section as Markdown. Rows that differ only in who tried, or only in the family,
// become one line.
func (s *section) table() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	rows := merge(s.rows, func(r *row) *string { return &r.who })
	rows = merge(rows, func(r *row) *string { return &r.family })
	lines := [][]string{{"technique", "family", "from whom", "expected", "seen", "told", "control"}}
	for _, r := range rows {
		lines = append(lines, []string{r.technique, r.family, r.who, r.expected, r.seen, r.told, r.control})
	}
	return markdown(lines)
}

// merge joins rows that are equal except for one field. The joined row stands where the first of
// them stood.
func merge(rows []row, field func(*row) *string) (out []row) {
	at := map[row]int{}
	for _, r := range rows {
		key, value := r, *field(&r)
		*field(&key) = ""
		i, known := at[key]
		if !known {
			at[key] = len(out)
			out = append(out, r)
			continue
		}
		if had := field(&out[i]); !slices.Contains(strings.Split(*had, ", "), value) {
			*had += ", " + value
		}
	}
	return out
}

// markdown returns a table. Its first line is the head.
func markdown(lines [][]string) string {
	width := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)))
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, w := range width {
				b.WriteString("| " + strings.Repeat("-", w) + " ")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
