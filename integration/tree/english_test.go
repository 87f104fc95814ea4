package tree

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// commentColumns is how wide a line may be that holds only a comment. A tab counts tabColumns.
const commentColumns, tabColumns = 100, 4

// phrases make a sentence hard to read, above all for readers who are not native speakers. Each has
// a budget for all comments and documents together. Lower the budget when the tree has fewer.
var phrases = []struct {
	phrase string
	budget int
}{
	{"says that", 0},
	{"tells", 0},
	{"told of", 0},
	{"is what", 0},
	{"are what", 0},
	{"of which", 0},
	{"nobody", 1}, // the user,
	{"somebody", 0},
	{"whoever", 0},
}

// isDocument reports whether the phrases count in a file that is not Go.
func isDocument(name string) bool {
	return strings.HasSuffix(name, ".md")
}

func TestCommentWidth(t *testing.T) {
	var wide []string
	for _, f := range goFiles(t) {
		wide = append(wide, wideLines(f)...)
	}
	if len(wide) > 0 {
		t.Errorf("%d lines of comments are wider than %d columns; wrap them:\n%s", len(wide), commentColumns, strings.Join(wide, "\n"))
	}
}

func TestPhrases(t *testing.T) {
	found := map[string][]string{}
	count := func(name string, words []word) {
		for _, p := range phrases {
			for _, line := range linesWith(words, p.phrase) {
				found[p.phrase] = append(found[p.phrase], fmt.Sprintf("%s:%d", name, line))
			}
		}
	}
	for _, f := range goFiles(t) {
		for _, words := range f.comments() {
			count(f.name, words)
		}
	}
	for _, name := range trackedFiles(t) {
		if !isDocument(name) {
			continue
		}
		count(name, wordsOf(readTracked(t, name), 1))
	}
	for _, p := range phrases {
		if got := found[p.phrase]; len(got) > p.budget {
			t.Errorf("%q stands %d times in comments and documents, at most %d may be; say it in a plainer way:\n%s",
				p.phrase, len(got), p.budget, strings.Join(got, "\n"))
		}
	}
}

// The two tests above have tests of their own, because a tree within its budgets can't fail them.
func TestLinesWith(t *testing.T) {
	for _, tt := range []struct {
		name, text, phrase string
		want               []int
	}{
		{"none", "It returns the name.", "says that", nil},
		{"in a line", "A.\nIt says that it is.", "says that", []int{2}},
		{"over two lines", "It says\nthat it is.", "says that", []int{1}},
		{"capital letters", "Nobody knows, nobody.", "nobody", []int{1, 1}},
		{"punctuation around it", "(for nobody)", "for nobody", []int{1}},
		{"two sentences", "This it is. What else?", "is what", nil},
		{"two paragraphs", "so it is\n\nwhat else", "is what", nil},
		{"part of a word", "foretells", "tells", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, linesWith(wordsOf(tt.text, 1), tt.phrase)); diff != "" {
				t.Errorf("lines (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWideLines(t *testing.T) {
	long := strings.Repeat("long ", 20)
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"narrow", "// x", 0},
		{"wide", "// " + long, 1},
		{"wide with its tabs", "\t\t\t// " + long[:88], 1},
		{"beside code", "var x int // " + long, 0},
		{"in a string", "var x = `\n// " + long + "`", 0},
		{"a directive", "//go:generate " + long, 0},
		{"one word", "// " + strings.ReplaceAll(long, " ", "_"), 0},
		{"a block", "/*\n" + long + "x\n*/", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := parseGo(t, "x.go", "package x\n\n"+tt.text+"\n")
			if got := wideLines(f); len(got) != tt.want {
				t.Errorf("got %v, want %d", got, tt.want)
			}
		})
	}
}

// wideLines lists the lines of a file that hold only a comment and are too wide. Directives may be
// wide, and so may a single word, such as the address of a page.
func wideLines(f goFile) (wide []string) {
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			first, last := f.fset.Position(c.Pos()), f.fset.Position(c.End())
			for n := first.Line; n <= last.Line; n++ {
				line := f.lines[n-1]
				if n == first.Line && strings.TrimSpace(line[:first.Column-1]) != "" {
					continue
				}
				words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "//"))
				if columns(line) > commentColumns && len(words) > 1 && !strings.HasPrefix(c.Text, "//go:") {
					wide = append(wide, fmt.Sprintf("%s:%d", f.name, n))
				}
			}
		}
	}
	return wide
}

// columns returns how wide a line is.
func columns(line string) int {
	tabs := strings.Count(line, "\t")
	return utf8.RuneCountInString(line) + tabs*(tabColumns-1)
}

// A word is one word of a text, with the punctuation around it. Between two paragraphs stands an
// empty one.
type word struct {
	text string
	line int
}

// comments returns the words of each comment of a file.
func (f goFile) comments() (all [][]word) {
	for _, group := range f.syntax.Comments {
		var words []word
		for _, c := range group.List {
			words = append(words, wordsOf(strings.TrimPrefix(c.Text, "//"), f.fset.Position(c.Pos()).Line)...)
		}
		all = append(all, words)
	}
	return all
}

// wordsOf splits a text whose first line has the number line.
func wordsOf(text string, line int) (words []word) {
	for l := range strings.Lines(text) {
		fields := strings.Fields(l)
		if len(fields) == 0 {
			words = append(words, word{"", line})
		}
		for _, w := range fields {
			words = append(words, word{strings.ToLower(w), line})
		}
		line++
	}
	return words
}

// around holds the punctuation that may stand around a phrase, and not within it.
const around = ".,;:!?()[]\"'`*_"

// linesWith returns the number of the line on which each occurrence of a phrase begins.
func linesWith(words []word, phrase string) (lines []int) {
	want := strings.Fields(phrase)
	for i := range words {
		if i+len(want) > len(words) {
			break
		}
		found := true
		for j, w := range want {
			got := words[i+j].text
			if j == 0 {
				got = strings.TrimLeft(got, around)
			}
			if j == len(want)-1 {
				got = strings.TrimRight(got, around)
			}
			found = found && got == w
		}
		if found {
			lines = append(lines, words[i].line)
		}
	}
	return lines
}
