package spec

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const codeFence = "```"

// heading matches the titles of the sections of REFERENCE.md, and codeSpan a text in backticks.
var (
	heading  = regexp.MustCompile(`(?m)^#{2,3} (.+)$`)
	codeSpan = regexp.MustCompile("`([^`\n]+)`")
)

// readReference returns REFERENCE.md without its examples, and the examples by the line on which
// they begin.
func readReference(t *testing.T) (prose string, examples map[int]string) {
	t.Helper()
	text, err := os.ReadFile("REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	examples = map[int]string{}
	begin := 0
	for i, line := range strings.SplitAfter(string(text), "\n") {
		switch strings.TrimSpace(line) {
		case codeFence + "hcl":
			begin = i + 2
		case codeFence:
			begin = 0
		default:
			if begin > 0 {
				examples[begin] += line
			} else {
				prose += line
			}
		}
	}
	if len(examples) == 0 {
		t.Fatal("REFERENCE.md has no examples")
	}
	return prose, examples
}

// section returns the text under the heading, up to the next one.
func section(t *testing.T, prose, title string) string {
	t.Helper()
	all := heading.FindAllStringSubmatchIndex(prose, -1)
	for i, at := range all {
		if prose[at[2]:at[3]] != title {
			continue
		}
		end := len(prose)
		if i+1 < len(all) {
			end = all[i+1][0]
		}
		return prose[at[1]:end]
	}
	t.Fatalf("REFERENCE.md has no section %q", title)
	return ""
}

// spans returns the texts in backticks.
func spans(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range codeSpan.FindAllStringSubmatch(text, -1) {
		found[m[1]] = true
	}
	return found
}

// rows returns the names in backticks in the first column of the tables.
func rows(text string) []string {
	var names []string
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || cells[0] != "" {
			continue
		}
		for name := range spans(cells[1]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sections are the headings for the attributes of a kind of block, if it is not the kind's name.
var sections = map[string]string{
	"app": allContainers, "sidecar": allContainers, "init": allContainers, "ambassador": allContainers,
}

const allContainers = "app, sidecar, init, ambassador"

// alone are the headings for the attributes that not every kind of container has.
var alone = map[string]string{
	"app": "In an app or a sidecar", "sidecar": "In an app or a sidecar", "ambassador": "Only in the ambassador",
}

// Every attribute that works has a row in the section of its block, and there are no other rows.
func TestReferenceHasEveryAttribute(t *testing.T) {
	prose, _ := readReference(t)
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		if name == fileKind || k.anyAttr {
			continue
		}
		t.Run(name, func(t *testing.T) {
			title := name
			if s, ok := sections[name]; ok {
				title = s
			}
			got := rows(section(t, prose, title))
			if title, ok := alone[name]; ok {
				got = append(got, rows(section(t, prose, title))...)
			}
			want := slices.Clone(k.attrs)
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rows of the section %q (-schema +reference):\n%s", title, diff)
			}
		})
	}
}

func TestReferenceNames(t *testing.T) {
	prose, _ := readReference(t)
	known := spans(prose)
	titles := strings.Join(heading.FindAllString(prose, -1), "\n")
	for name := range kinds {
		if name != fileKind && !known[name] && !strings.Contains(titles, name) {
			t.Errorf("REFERENCE.md lacks the block %s", name)
		}
	}
	for _, name := range slices.Concat(functionNames, grantable) {
		if !known[name] {
			t.Errorf("REFERENCE.md lacks %s", name)
		}
	}
	rules, err := os.ReadFile("../netns/egress/RULES.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := spans(string(rules))
	for _, name := range slices.Concat(ContainerSysctls(), GroupSysctls(), []string{PingSysctl}) {
		if !known[name] || !reasons[name] {
			t.Errorf("REFERENCE.md or RULES.md lacks the sysctl %s", name)
		}
	}
	for root := range declared {
		if !strings.Contains(prose, "`${"+root+".") {
			t.Errorf("REFERENCE.md lacks references to %s", root)
		}
	}
}

// readExampleFile reads the files that the examples name.
func readExampleFile(name string) ([]byte, error) {
	if strings.HasSuffix(name, ".pub") {
		return []byte(vendorKey), nil
	}
	return []byte("x"), nil
}

// Each example is valid HCL. Those of a group, or of a part of one, are accepted without a warning.
func TestReferenceExamples(t *testing.T) {
	_, examples := readReference(t)
	for line, text := range examples {
		t.Run(fmt.Sprintf("line %d", line), func(t *testing.T) {
			file, diags := hclsyntax.ParseConfig([]byte(text), "REFERENCE.md", hcl.Pos{Line: line, Column: 1})
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			text, ok := exampleFile(t, file.Body.(*hclsyntax.Body), text)
			if !ok {
				return
			}
			src := Source{Name: "example.hcl", Dir: "/srv", Bytes: []byte(text), ReadFile: readExampleFile}
			if _, diags := Parse(src); len(diags) > 0 {
				t.Errorf("not accepted:\n%s", printed(t, src, diags))
			}
		})
	}
}

// exampleFile returns a whole group file for an example. A part of a group is put where it belongs.
// ok is false for an example of what stands outside of groups, which may refer to anything.
func exampleFile(t *testing.T, body *hclsyntax.Body, text string) (whole string, ok bool) {
	t.Helper()
	first := ""
	if len(body.Blocks) > 0 {
		first = body.Blocks[0].Type
	}
	for name := range body.Attributes {
		first = name
	}
	in := parents(first)
	volumes, app, door := "", "", ""
	switch {
	case first == "group":
		return text, true
	case slices.Contains(in, fileKind):
		return "", false
	case slices.Contains(in, "app"):
		app = text
		for _, m := range blocksOf(body, "mount") {
			name, _ := label(m)
			volumes += fmt.Sprintf("volume %q {}\n", name)
		}
	case slices.Contains(in, "ambassador"):
		door = text
	case slices.Contains(in, "group"):
		volumes = text
	default:
		t.Fatalf("%q has no place in a group", first)
	}
	const file = `group "example" {
  %s
  app "web" {
    image = "registry.example/web:1"
    %s
  }
  sidecar "helper" {
    image = "registry.example/helper:1"
    probe "ready" { tcp = { port = 1 } }
  }
  ambassador "proxy" {
    image = "registry.example/proxy:1"
    %s
  }
}
`
	return fmt.Sprintf(file, volumes, app, door), true
}
