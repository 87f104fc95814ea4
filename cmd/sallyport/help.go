package main

import (
	"cmp"
	"fmt"
	"go/doc/comment"
	"io"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	widestHelp = 110 // longer lines are hard to read
	// A screen narrower than narrowHelp has the text of a flag below the flag.
	narrowHelp = 60
	helpGap    = 4 // columns between a flag and its text
)

// helpOn returns the printer of help for a screen. That of kong needs 80 columns.
func helpOn(s screen) kong.HelpPrinter {
	return func(_ kong.HelpOptions, command *kong.Context) error {
		s.width = min(cmp.Or(s.width, usualWidth), widestHelp)
		h := &help{newPage(&visibleWriter{w: command.Stdout, screen: s})}
		app, node := command.Model, command.Selected()
		if node == nil {
			node = app.Node
		}
		h.paint(bold, "Usage:")
		h.end(len("Usage: "), " "+app.Name+" "+strings.TrimSpace(node.Summary()))
		for _, text := range []string{node.Help, node.Detail} {
			for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
				h.paragraph(paragraph)
			}
		}
		h.rows("Arguments:", argumentRows(node))
		for _, group := range commandGroups(node) {
			h.rows(group.title, group.rows)
		}
		for _, group := range flagGroups(node) {
			h.rows(group.title, group.rows)
		}
		if node == app.Node {
			h.paragraph(fmt.Sprintf("Run \"%s <command> --help\" for more information on a command.", app.Name))
		}
		return h.print()
	}
}

// A help is the page of a help text.
type help struct{ *page }

// paragraph prints a text and the empty line before it, or nothing if the text is empty. An
// indented text is a table: each line has a word and a text.
func (h *help) paragraph(text string) {
	switch {
	case text == "":
	case !strings.HasPrefix(text, " "):
		fmt.Fprintf(h, "\n%s\n", strings.Join(fill(strings.ReplaceAll(text, "\n", " "), h.width), "\n"))
	default:
		io.WriteString(h, "\n")
		for row := range strings.Lines(text) {
			_, cell, _ := strings.Cut(strings.TrimLeft(row, " "), "  ")
			word := strings.TrimSuffix(row, cell)
			io.WriteString(h, word)
			h.end(len(word), cell)
		}
	}
}

// A helpRow is a word with its text. An empty one is an empty line.
type helpRow struct{ word, text string }

// A helpGroup is rows with a title.
type helpGroup struct {
	title string
	rows  []helpRow
}

type helpGroups []helpGroup

// rows prints rows in two columns. A long word is in a line of its own.
func (h *help) rows(title string, rows []helpRow) {
	if len(rows) == 0 {
		return
	}
	io.WriteString(h, "\n")
	h.paint(bold, title)
	io.WriteString(h, "\n")
	const indent = 2
	longest, left := max(30, h.width*3/8), 0
	if h.width < narrowHelp {
		longest = 0
	}
	for _, r := range rows {
		if len(r.word) < longest {
			left = max(left, len(r.word))
		}
	}
	for _, r := range rows {
		if r == (helpRow{}) {
			io.WriteString(h, "\n")
			continue
		}
		if longest == 0 {
			r.word = strings.TrimLeft(r.word, " ")
		}
		lines := fill(r.text, h.width-indent-left-helpGap)
		fmt.Fprintf(h, "%*s%s", indent, "", r.word)
		if len(r.word) < longest {
			fmt.Fprintf(h, "%*s%s", left-len(r.word)+helpGap, "", lines[0])
			lines = lines[1:]
		}
		io.WriteString(h, "\n")
		for _, line := range lines {
			fmt.Fprintf(h, "%*s%s\n", indent+left+helpGap, "", line)
		}
	}
}

// fill breaks a text into lines of at most so many columns and of about the same length.
func fill(text string, columns int) []string {
	var parser comment.Parser
	printer := comment.Printer{TextWidth: columns}
	filled := string(printer.Text(parser.Parse(text)))
	return strings.Split(strings.TrimSpace(filled), "\n")
}

func argumentRows(node *kong.Node) (rows []helpRow) {
	for _, arg := range node.Positional {
		rows = append(rows, helpRow{arg.Summary(), arg.Help})
	}
	return rows
}

// of returns the group with a title, which it adds if there is none.
func (g *helpGroups) of(title string) *helpGroup {
	i := slices.IndexFunc(*g, func(group helpGroup) bool { return group.title == title })
	if i < 0 {
		i, *g = len(*g), append(*g, helpGroup{title: title})
	}
	return &(*g)[i]
}

func commandGroups(node *kong.Node) (groups helpGroups) {
	if len(node.Children) == 0 {
		return nil
	}
	for _, leaf := range node.Leaves(true) {
		g := groups.of(leaf.ClosestGroup().Title)
		g.rows = append(g.rows, helpRow{leaf.Path(), leaf.Help})
	}
	return groups
}

// flagGroups returns the flags, those without a group first. An empty row separates the flags of
// the program from those of the verb.
func flagGroups(node *kong.Node) helpGroups {
	groups := helpGroups{{title: "Flags:"}}
	for _, level := range node.AllFlags(true) {
		begun := map[string]bool{}
		for _, flag := range level {
			title := "Flags:"
			if flag.Group != nil {
				title = flag.Group.Title
			}
			g := groups.of(title)
			if !begun[title] && len(g.rows) > 0 {
				g.rows = append(g.rows, helpRow{})
			}
			begun[title] = true
			g.rows = append(g.rows, helpRow{flagText(flag), flag.Help})
		}
	}
	return groups
}

// flagText returns a flag as it is typed. The flags of a group are below each other, with and
// without a short form.
func flagText(f *kong.Flag) string {
	text := "--" + f.Name
	switch {
	case f.Short != 0:
		text = "-" + string(f.Short) + ", " + text
	case f.Group == nil:
		text = "    " + text
	}
	if !f.IsBool() && !f.IsCounter() {
		text += "=" + f.FormatPlaceHolder()
	}
	return text
}
