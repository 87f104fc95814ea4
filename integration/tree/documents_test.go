package tree

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

// walk is the part of docs/design.md that follows a group file to the kernel and back.
const walk = "## From the group file to the kernel, and back to `status`"

// notNames look like names of the code in the walk, and are none.
var notNames = []string{"groups.d"}

// codeName matches a name of the code: "spec.Parse", "[]spec.Group", "keeper.Keeper.Apply".
var codeName = regexp.MustCompile(`^(?:\[\])?([A-Za-z]\w*(?:\.[A-Za-z]\w*){1,2})$`)

// ourFolders begin the paths that documents name.
var ourFolders = []string{"cmd/", "docs/", "examples/", "integration/", "netns/", "shim/", "spec/"}

var (
	inBackticks = regexp.MustCompile("`([^`\n]+)`")
	inLink      = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	fenced      = regexp.MustCompile("(?ms)^```.*?^```$")
	heading     = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

func TestWalkNamesCode(t *testing.T) {
	text := section(readTracked(t, "docs/design.md"), walk)
	if text == "" {
		t.Fatalf("docs/design.md has no part %q", walk)
	}
	declared := declarations(t)
	for _, name := range namesIn(text) {
		if slices.Contains(notNames, name) {
			continue
		}
		first, _, _ := strings.Cut(name, ".")
		switch {
		case !declared[first]:
			t.Errorf("docs/design.md: %s begins with no package of ours: write package.Function or package.Type.Method", name)
		case !declared[name]:
			t.Errorf("docs/design.md: there is no %s", name)
		}
	}
}

// Files in the table follow each other in a folder: "`netns/uplink/elements.go` and `table.go`".
func TestWhereDoILook(t *testing.T) {
	text := section(readTracked(t, "CONTRIBUTING.md"), "## Where do I look?")
	if text == "" {
		t.Fatal("CONTRIBUTING.md has no table of where to look")
	}
	there := trackedPaths(t)
	for row := range strings.Lines(text) {
		dir := ""
		for _, token := range inBackticks.FindAllStringSubmatch(row, -1) {
			name := token[1]
			switch {
			case strings.Contains(name, " "):
			case strings.Contains(name, "/"):
				dir = name
				if there[name] && path.Ext(name) != "" {
					dir = path.Dir(name)
				}
			case strings.HasSuffix(name, ".go") && !there[path.Join(dir, name)]:
				t.Errorf("CONTRIBUTING.md: there is no %s in %s", name, dir)
			}
		}
	}
}

func TestDocumentsNameWhatIsThere(t *testing.T) {
	there := trackedPaths(t)
	anchors := map[string][]string{}
	for _, name := range trackedFiles(t) {
		if strings.HasSuffix(name, ".md") {
			anchors[name] = anchorsIn(readTracked(t, name))
		}
	}
	for name := range anchors {
		text := fenced.ReplaceAllString(readTracked(t, name), "")
		for _, p := range pathsIn(text) {
			if !there[p] {
				t.Errorf("%s: there is no %s", name, p)
			}
		}
		for _, link := range linksIn(text) {
			file, anchor, _ := strings.Cut(link, "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			switch {
			case !there[to]:
				t.Errorf("%s: its link %s leads nowhere", name, link)
			case anchor != "" && !slices.Contains(anchors[to], anchor):
				t.Errorf("%s: its link %s leads to no heading of %s", name, link, to)
			}
		}
	}
}

func TestDocumentParts(t *testing.T) {
	text := "# One\n\nSee [two](a.md#x), [self](#one) and [web](https://example.com/a).\n\n" +
		"`spec.Parse` or `[]spec.Group` in `cmd/sallyport/a.go`, `netns/**`, `shim/ctrd/...`, `sudo make`, `/run/x`.\n\n" +
		"## Two: `it`, and more\n\n`k.K.M`\n"
	for _, tt := range []struct {
		what      string
		got, want []string
	}{
		{"names", namesIn(text), []string{"spec.Parse", "spec.Group", "k.K.M"}},
		{"paths", pathsIn(text), []string{"cmd/sallyport/a.go", "netns", "shim/ctrd"}},
		{"links", linksIn(text), []string{"a.md#x", "#one"}},
		{"anchors", anchorsIn(text), []string{"one", "two-it-and-more"}},
		{"section", namesIn(section(text, "## Two: `it`, and more")), []string{"k.K.M"}},
		{"no section", namesIn(section(text, "## Three")), nil},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

// section returns the text below a heading of the second level, up to the next one. It returns ""
// if there is no such heading.
func section(text, heading string) string {
	_, after, found := strings.Cut("\n"+text, "\n"+heading+"\n")
	if !found {
		return ""
	}
	before, _, _ := strings.Cut(after, "\n## ")
	return before
}

// namesIn returns the names of the code in backticks.
func namesIn(text string) (names []string) {
	for _, token := range inBackticks.FindAllStringSubmatch(text, -1) {
		if name := codeName.FindStringSubmatch(token[1]); name != nil {
			names = append(names, name[1])
		}
	}
	return names
}

// pathsIn returns the paths in backticks that begin with one of our folders. "x/**" and "x/..." are
// x.
func pathsIn(text string) (paths []string) {
	for _, token := range inBackticks.FindAllStringSubmatch(text, -1) {
		p := token[1]
		if strings.ContainsAny(p, " {}") || !slices.ContainsFunc(ourFolders, func(f string) bool { return strings.HasPrefix(p, f) }) {
			continue
		}
		p, _, _ = strings.Cut(p, "/*")
		paths = append(paths, path.Clean(strings.TrimSuffix(p, "/...")))
	}
	return paths
}

// linksIn returns the links that stay in the repository.
func linksIn(text string) (links []string) {
	for _, link := range inLink.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(link[1], ":") {
			links = append(links, link[1])
		}
	}
	return links
}

// anchorsIn returns the anchors that GitHub gives to the headings of a document.
func anchorsIn(text string) (anchors []string) {
	count := map[string]int{}
	for _, h := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
				return unicode.ToLower(r)
			}
			return -1
		}, h[1])
		if n := count[anchor]; n > 0 {
			anchors = append(anchors, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			anchors = append(anchors, anchor)
		}
		count[anchor]++
	}
	return anchors
}

// trackedPaths returns the files of the repository, and the folders that hold them.
func trackedPaths(t *testing.T) map[string]bool {
	t.Helper()
	there := map[string]bool{}
	for _, name := range trackedFiles(t) {
		for p := name; p != "."; p = path.Dir(p) {
			there[p] = true
		}
	}
	return there
}
