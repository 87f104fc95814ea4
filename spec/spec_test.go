package spec

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"pgregory.net/rapid"
)

const sealed = "group \"%s\" {\n  egress = \"none\"\n  app \"a\" { image = \"%s\" }\n}\n"

func groupNames(groups []Group) []string {
	var all []string
	for _, g := range groups {
		all = append(all, g.Name)
	}
	return all
}

func TestParseReturnsGroupsWithoutMistakes(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"all good", fmt.Sprintf(sealed+sealed, "one", "x", "two", "x"), []string{"one", "two"}},
		{"one bad", fmt.Sprintf(sealed+sealed, "one", "", "two", "x"), []string{"two"}},
		{"bad variable, used by one", "variable \"v\" {}\n" + fmt.Sprintf(sealed+sealed, "one", "x:${var.v}", "two", "x"), []string{"two"}},
		{"bad local, used by one", "locals { v = nope.x }\n" + fmt.Sprintf(sealed+sealed, "one", "x", "two", "${local.v}"), []string{"one"}},
		{"unknown attribute in one", fmt.Sprintf(sealed, "one", "x") + "group \"two\" {\n egress = \"none\"\n nope = 1\n app \"a\" { image = \"x\" }\n}\n", []string{"one"}},
		{"syntax error after one", fmt.Sprintf(sealed, "one", "x") + "group \"two\" {\n egress = \n}\n" + fmt.Sprintf(sealed, "three", "x"), []string{"one", "three"}},
		{"unclosed block after one", fmt.Sprintf(sealed, "one", "x") + "group \"two\" {\n" + fmt.Sprintf(sealed, "three", "x"), []string{"one"}},
		{"a mistake in a block of one", fmt.Sprintf(sealed, "one", "x") + "group \"two\" {\n egress = \"none\"\n secret \"s\" {}\n app \"a\" { image = \"x\" }\n}\n", []string{"one"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			groups, diags := Parse(source("test.hcl", tt.text))
			if diff := cmp.Diff(tt.want, groupNames(groups)); diff != "" {
				t.Errorf("groups (-want +got):\n%s", diff)
			}
			if want := tt.name != "all good"; diags.HasErrors() != want {
				t.Errorf("errors: %v, want %v", diags, want)
			}
		})
	}
}

func TestWarningsKeepTheGroup(t *testing.T) {
	groups, diags := Parse(load(t, "testdata/bad/shared_with_ambassador.hcl"))
	if len(groups) != 1 || len(diags) != 1 || diags[0].Severity != hcl.DiagWarning {
		t.Errorf("%d groups and %v, want one of each", len(groups), diags)
	}
}

func TestNoFileIsReadWithoutReadFile(t *testing.T) {
	src := load(t, "testdata/design.hcl")
	src.ReadFile = nil
	_, diags := Parse(src)
	if len(diags) != 1 || diags[0].Summary != "Can't read a file here" {
		t.Errorf("got %v, want one refusal to read", diags)
	}
}

// Each mistake is in exactly one diagnostic, and all of them are there.
func TestEveryMistakeOnce(t *testing.T) {
	mistakes := []string{"nope = 1", "args = [nope.x]", "workdir = \"x\"", "user = \"a b\"", "mount \"v\" { path = \"/v\" }", "privileged = true", "env = { A = upper() }"}
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		want := 0
		for i := range rapid.IntRange(1, 4).Draw(t, "groups") {
			fmt.Fprintf(&text, "group \"g%d\" {\n  egress = \"none\"\n  app \"a\" {\n    image = \"x\"\n", i)
			for j, m := range mistakes {
				if rapid.Bool().Draw(t, fmt.Sprintf("mistake %d of group %d", j, i)) {
					text.WriteString("    " + m + "\n")
					want++
				}
			}
			text.WriteString("  }\n}\n")
		}
		_, diags := Parse(source("test.hcl", text.String()))
		if len(diags) != want {
			t.Errorf("%d diagnostics for %d mistakes:\n%v\n%s", len(diags), want, diags, text.String())
		}
	})
}

// Two readings give the same result: the order of map iteration never shows.
func TestParseIsDeterministic(t *testing.T) {
	var sources []Source
	for _, pattern := range []string{"testdata/*.hcl", "testdata/bad/*.hcl"} {
		for _, path := range glob(t, pattern) {
			sources = append(sources, load(t, path))
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SampledFrom(sources).Draw(t, "source")
		first, firstDiags := Parse(src)
		second, secondDiags := Parse(src)
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("groups (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(texts(firstDiags), texts(secondDiags)); diff != "" {
			t.Errorf("mistakes (-first +second):\n%s", diff)
		}
	})
}

// Each hostile file is refused or read without running out of stack, and the work is in proportion
// to its size. The test counts allocations, because the time on a busy machine means nothing.
func TestHostileFilesAreBounded(t *testing.T) {
	// The limits refuse this size like that of the largest file, and it is read in a moment even
	// with -race.
	const big = 16 << 10
	wrap := func(expr string) string {
		return "locals { x = " + expr + " }\n" + fmt.Sprintf(sealed, "g", "x")
	}
	fill := func(s string) string { return strings.Repeat(s, big/len(s)) }
	tests := []struct {
		name, text string
		refused    bool // before the parser sees it
	}{
		{"too large", strings.Repeat("# a comment\n", MaxGroupFile/10), true},
		{"brackets", wrap(fill("[")), true},
		{"minus signs", wrap(fill("-") + "1"), true},
		{"exclamation marks", wrap(fill("!") + "true"), true},
		{"conditionals", wrap(fill("true?1:") + "1"), true},
		{"a long sum", wrap(fill("1+") + "1"), true},
		{"template directives", wrap("\"" + fill("%{if true}") + "\""), true},
		{"interpolations", wrap(fill("\"${")), true},
		{"a long reference", wrap("local" + fill(".x")), false},
		{"unknown attributes", "group \"g\" {\n" + numbered("nope%d = 1\n", 1_500) + "}\n", false},
		{"unknown references", "group \"g\" {\n app \"a\" {\n env = {\n" + numbered("A%d = local.nope%[1]d\n", 1_500) + "}\n}\n}\n", false},
		{"unknown references among many", "locals {\n" + numbered("l%d = 1\n", 1_500) + "}\ngroup \"g\" {\n app \"a\" {\n env = {\n" + numbered("A%d = local.m%[1]d\n", 1_500) + "}\n}\n}\n", false},
		{"indexes", wrap("local.x" + fill("[local.x]")), true},
		{"minus signs in brackets", wrap("(" + fill("-\n") + "1)"), true},
		{"nested conditionals over commas", wrap(fill("true?[1,2]:") + "1"), true},
		{"a long reference to a call", wrap("upper(1)" + fill(".x")), false},
		{"splats", wrap("[1]" + fill("[*]")), true},
		{"locals that need the one before", "locals {\n l0 = 1\n" + numbered("l%[2]d = local.l%[1]d\n", 1_500) + "}\n", false},
		{"one large circle", "locals {\n l1500 = local.l0\n" + numbered("l%[1]d = local.l%[2]d\n", 1_500) + "}\n", false},
		{"probes", "group \"g\" {\n app \"a\" {\n" + numbered("probe \"x%d\" {}\n", 1_500) + "}\n}\n", false},
		{"sidecars after each other", "group \"g\" {\n" + numbered("sidecar \"s%d\" {\n after = [\"s%d\"]\n }\n", 1_500) + "}\n", false},
		{"sidecars after all others", "group \"g\" {\n" + strings.Repeat("sidecar \"s\" {\n after = ["+strings.Repeat("\"s\", ", 60)+"]\n }\n", 50) + "}\n", false},
		{"publishes", "group \"g\" {\n ambassador \"a\" {\n" + numbered("publish \"p%d\" { host = 1 }\n", 1_500) + "}\n}\n", false},
		{"groups", numbered("group \"g%d\" {}\n", 1_500), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			src := source("test.hcl", tt.text)
			_, diags := Parse(src)
			_ = printed(t, src, diags)
			runtime.ReadMemStats(&after)
			if refused := diags[0].Summary == "This file can't be read"; refused != tt.refused {
				t.Errorf("refused: %t, want %t: %v", refused, tt.refused, diags[0])
			}
			// Both are independent of the file's size, unless the work grows with its square.
			size := uint64(len(tt.text))
			if bytes, objects := (after.TotalAlloc-before.TotalAlloc)/size, (after.Mallocs-before.Mallocs)/size; bytes > 8<<10 || objects > 40 {
				t.Errorf("for each byte of the file %d bytes and %d objects were allocated, want at most 8192 and 40", bytes, objects)
			}
		})
	}
}

// numbered repeats a line. The line's number is the first argument, and the next number the second.
func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		line := fmt.Sprintf(format, i, i+1)
		if at := strings.Index(line, "%!(EXTRA"); at >= 0 {
			line = line[:at]
		}
		b.WriteString(line)
	}
	return b.String()
}

// isRepetition compares the parser's text, which an upgrade could change.
func TestRepetitionIsWhatTheParserSays(t *testing.T) {
	_, diags := hclsyntax.ParseConfig([]byte("a = 1\na = 2\n"), "test.hcl", hcl.InitialPos)
	if len(diags) != 1 || !isRepetition(diags[0]) {
		t.Errorf("the parser says %v", diags)
	}
}
