package main

import (
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"
	"github.com/google/go-cmp/cmp"
)

func TestScreenOf(t *testing.T) {
	master, slave := openPTY(t)
	resize := func(width, height uint16) {
		t.Helper()
		if err := master.Resize(console.WinSize{Width: width, Height: height}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(name string, f *os.File, environ []string, want screen) {
		t.Helper()
		if got := screenOf(f, environ); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	check("a terminal that doesn't know its size", slave, nil, screen{usualWidth, usualHeight, true})
	resize(100, 30)
	check("a terminal", slave, nil, screen{100, 30, true})
	check("no colour", slave, []string{"NO_COLOR=1"}, screen{100, 30, false})
	check("NO_COLOR is empty", slave, []string{"NO_COLOR="}, screen{100, 30, true})
	check("a dumb terminal", slave, []string{"TERM=dumb"}, screen{100, 30, false})
	check("COLUMNS", slave, []string{"COLUMNS=60"}, screen{60, 30, true})
	check("a very narrow terminal", slave, []string{"COLUMNS=1"}, screen{leastWidth, 30, true})
	check("no COLUMNS", slave, []string{"COLUMNS=0"}, screen{100, 30, true})

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	check("a pipe", w, []string{"COLUMNS=60"}, screen{})
	check("no file", nil, nil, screen{})
}

func TestTextWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "größer": 6, "gro\u0308ßer": 6, "大": 2, "ｆ": 2, "🚀": 2, "a\u200db": 2, "\x1b[1mab\x1b[0m": 2,
	} {
		if got := textWidth(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		name    string
		how     cutter
		text    string
		columns int
		want    string
	}{
		{"it fits", cutTail, "abcdef", 6, "abcdef"},
		{"the end", cutTail, "abcdefg", 6, "abc..."},
		{"between wide characters", cutTail, "大大大大", 6, "大..."},
		{"with its accent", cutTail, "ao\u0308bcdef", 5, "ao\u0308..."},
		{"very little room", cutTail, "abcdefg", 2, ".."},
		{"no room", cutTail, "abc", 0, ""},
		{"a name fits", cutHead, "web:1", 5, "web:1"},
		{"the begin", cutHead, "registry.example/shop/web:1.2", 16, ".../shop/web:1.2"},
		{"items fit", cutItems, "a,b,c", 5, "a,b,c"},
		{"items", cutItems, "80->80/tcp,81->81/tcp,82->82/tcp", 25, "80->80/tcp,81->81/tcp,+1"},
		{"one item", cutItems, "80->80/tcp,81->81/tcp,82->82/tcp", 24 - 1, "80->80/tcp,+2"},
		{"part of an item", cutItems, "80->80/tcp,81->81/tcp", 8, "80->8..."},
	} {
		got := c.how(c.text, c.columns)
		if got != c.want || textWidth(got) > c.columns {
			t.Errorf("%s: %q in %d columns, want %q", c.name, got, c.columns, c.want)
		}
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		name           string
		text           string
		first, columns int
		want           string
	}{
		{"no limit", "a b  c", 0, 0, "a b  c"},
		{"it fits", "ab cd", 5, 5, "ab cd"},
		{"at spaces", "ab cd ef", 5, 5, "ab cd|ef"},
		{"a shorter first line", "ab cd ef", 2, 5, "ab|cd ef"},
		{"a long word", "a https://example.org/b c", 8, 8, "a|https://example.org/b|c"},
		{"spaces in a line stay", "a  b     c", 5, 5, "a  b|c"},
		{"a command stays whole", `see "sallyport logs b" now`, 20, 20, `see|"sallyport logs b"|now`},
		{"a command that is longer than a line", `see "sallyport logs b" now`, 12, 12, `see|"sallyport|logs b" now`},
		{"a single quote", `5" of snow`, 6, 6, `5" of|snow`},
		{"wide characters", "大大 大大", 8, 8, "大大|大大"},
		{"nothing", "", 5, 5, ""},
	} {
		if diff := cmp.Diff(strings.Split(c.want, "|"), wrap(c.text, c.first, c.columns)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}
