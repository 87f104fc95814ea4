package spec

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// systems are the sections of docs/coming-from.md, with the golden case that has the words of each.
var systems = map[string]string{
	"compose": "words_of_compose.hcl", "Kubernetes": "words_of_kubernetes.hcl", "quadlet": "words_of_quadlet.hcl", "Nomad": "words_of_nomad.hcl",
}

// An otherWords is one row of a table of docs/coming-from.md.
type otherWords struct {
	words []string // in the spelling of group files
	here  string   // the second column
}

// readComingFrom returns the rows and the one group file of each section.
func readComingFrom(t *testing.T) (rows map[string][]otherWords, examples map[string]string) {
	t.Helper()
	text, err := os.ReadFile("../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, examples = map[string][]otherWords{}, map[string]string{}
	title, fence := "", ""
	for line := range strings.Lines(string(text)) {
		switch after, isHeading := strings.CutPrefix(line, "## "); {
		case strings.HasPrefix(line, codeFence):
			if fence == "" {
				fence = strings.TrimSpace(line)
			} else {
				fence = ""
			}
		case fence == codeFence+"hcl":
			examples[title] += line
		case fence != "":
		case isHeading:
			title = strings.TrimSpace(after)
		case strings.HasPrefix(line, "| `"):
			cells := strings.SplitN(line, "|", 4)
			row := otherWords{here: cells[2]}
			for word := range spans(cells[1]) {
				row.words = append(row.words, canonical(word))
			}
			rows[title] = append(rows[title], row)
		}
	}
	return rows, examples
}

func TestComingFromExamples(t *testing.T) {
	_, examples := readComingFrom(t)
	for title := range systems {
		src := Source{Name: title + ".hcl", Dir: "/srv", Bytes: []byte(examples[title]), ReadFile: func(string) ([]byte, error) { return []byte("x"), nil }}
		if groups, diags := Parse(src); len(groups) != 1 || len(diags) > 0 {
			t.Errorf("the group file of %s has %d groups:\n%s", title, len(groups), printed(t, src, diags))
		}
	}
}

// Every word that a golden case has is on the page, in the section of its system.
func TestComingFromHasEveryWord(t *testing.T) {
	rows, _ := readComingFrom(t)
	for title, name := range systems {
		text, err := os.ReadFile("testdata/bad/" + name)
		if err != nil {
			t.Fatal(err)
		}
		file, diags := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		var onPage []string
		for _, row := range rows[title] {
			onPage = append(onPage, row.words...)
		}
		for _, word := range hinted(fileKind, file.Body.(*hclsyntax.Body)) {
			if !slices.Contains(onPage, word) {
				t.Errorf("docs/coming-from.md: the section %s lacks the word %s", title, word)
			}
		}
	}
}

// hinted returns the names in a body that are answered with a hint or a refusal, in the spelling of
// group files.
func hinted(parent string, body *hclsyntax.Body) (words []string) {
	note := func(name string) {
		if word := canonical(name); elsewhere(parent, word) != "" || TakenAway(word) != "" {
			words = append(words, word)
		}
	}
	for _, attr := range attributes(body) {
		note(attr.Name)
	}
	for _, b := range body.Blocks {
		note(b.Type)
		words = append(words, hinted(b.Type, b.Body)...)
	}
	return words
}

// Every word on the page is an attribute or a block of ours, or has a hint.
func TestComingFromWordsHaveHints(t *testing.T) {
	rows, _ := readComingFrom(t)
	for title, all := range rows {
		for _, row := range all {
			for _, word := range row.words {
				has := len(parents(word)) > 0 || TakenAway(word) != "" || foreign[word] != ""
				for place := range foreignIn {
					has = has || elsewhere(place, word) != ""
				}
				if !has {
					t.Errorf("docs/coming-from.md, %s: a group file with %q gets no hint; add it to foreignWords", title, word)
				}
				ours := slices.ContainsFunc(containerKinds, func(kind string) bool { return slices.Contains(parents(word), kind) })
				if same := strings.Contains(row.here, "the same"); ours && !same && !regexp.MustCompile("`[^`]*\\b"+word+"\\b").MatchString(row.here) && word != "command" {
					t.Errorf("docs/coming-from.md, %s: %q is a word of ours too, and its row doesn't have it: %s", title, word, row.here)
				}
			}
		}
	}
}

// notOurs are texts in backticks on the page that are no names of a group file.
var notOurs = []string{"unless-stopped", "restartPolicy", "/dev/shm"}

// What the page names as ours is there.
func TestComingFromNamesWhatThereIs(t *testing.T) {
	rows, _ := readComingFrom(t)
	var ours []string
	for name, k := range kinds {
		ours = slices.Concat(ours, []string{name}, k.attrs, k.blocks)
	}
	names := regexp.MustCompile(`^[a-z_]+$`)
	for title, all := range rows {
		for _, row := range all {
			for span := range spans(row.here) {
				var found []string
				for _, re := range []*regexp.Regexp{hintBlock, hintAttribute} {
					for _, m := range re.FindAllStringSubmatch(span, -1) {
						found = append(found, m[1])
					}
				}
				if names.MatchString(span) {
					found = append(found, span)
				}
				for _, name := range found {
					if !slices.Contains(ours, name) && !slices.Contains(inValues, name) && !slices.Contains(notOurs, name) {
						t.Errorf("docs/coming-from.md, %s: there is no %q: %s", title, name, span)
					}
				}
			}
		}
	}
}
