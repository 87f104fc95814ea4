package main

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Only the page itself colours: a colour in a value is shown as text, wherever it comes in.
func TestPageColours(t *testing.T) {
	var out strings.Builder
	p := newPage(&visibleWriter{w: &out, screen: screen{width: 80, color: true}})
	value := "\x1b[31mred\x1b[0m"
	p.paint(green, value)
	fmt.Fprint(p, " "+value+" ")
	p.end(2, value)
	inner := table{header: []string{"A"}, styles: map[string]func(string) style{"A": func(string) style { return yellow }}}
	inner.add(value).notes = []string{"error: " + value}
	if err := inner.writeTo(p); err != nil { // a page on a page
		t.Fatal(err)
	}
	if out.Len() > 0 {
		t.Errorf("printed before its end: %q", &out)
	}
	if err := p.print(); err != nil {
		t.Fatal(err)
	}
	shown := `\u001b[31mred\u001b[0m`
	want := "<green>" + shown + "</> " + shown + " " + shown + "\n<bold>A</>\n<yellow>" + shown + "</>\n  <red>error:</> " + shown + "\n"
	if diff := cmp.Diff(want, withTags(out.String())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What a value is shown as counts for the columns, too.
func TestTableColumns(t *testing.T) {
	var out strings.Builder
	wide := table{header: []string{"NAME", "SIZE"}, least: []string{"SIZE"}, cut: map[string]cutter{"NAME": cutTail}}
	wide.add("\x1b[2J", "1")
	wide.add("大きい", "2")
	wide.add("o\u0308l", "3")
	wide.add("a\nb\tc", "")
	if err := wide.writeTo(&out); err != nil {
		t.Fatal(err)
	}
	want := "NAME       SIZE\n\\u001b[2J  1\n大きい     2\no\u0308l         3\na; b c     -\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPageEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		width  int
		head   string
		indent int
		text   string
		want   string
	}{
		{"a pipe", 0, "name: ", 6, "some words", "name: some words\n"},
		{"it fits", 40, "name: ", 6, "some words", "name: some words\n"},
		{"below the text", 40, "name: ", 6, "some words and then some more words", "name: some words and then some more\n      words\n"},
		{"too little room beside the head", 28, "name: ", 6, "some words and then some more words", "name: some words and then\n    some more words\n"},
		{"a word that fits in a line of its own", 28, "  name: ", 8, "/etc/sallyport/checkout", "  name:\n    /etc/sallyport/checkout\n"},
		{"several lines", 40, "name: ", 6, "one\ntwo", "name: one; two\n"},
	} {
		var out strings.Builder
		p := newPage(&visibleWriter{w: &out, screen: screen{width: c.width}})
		io.WriteString(p, c.head)
		p.end(c.indent, c.text)
		if err := p.print(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, out.String()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}
