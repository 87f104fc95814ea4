package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/cmd/sallyport/pages"
)

// writtenPages writes all pages and completions, and returns their folder and the model.
func writtenPages(t *testing.T) (dir string, model *kong.Application) {
	t.Helper()
	documents := map[string]string{"sallyport-group": "../../spec/REFERENCE.md", "sallyport.hcl": "../../docs/configuration.md"}
	for name, path := range documents {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		documents[name] = string(text)
	}
	dir, model = t.TempDir(), newParser(&cli{}).Model
	if err := pages.Write(dir, pages.Files(model, documents)); err != nil {
		t.Fatal(err)
	}
	return dir, model
}

func TestManualPages(t *testing.T) {
	dir, model := writtenPages(t)
	page := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, "man", name))
		if err != nil {
			t.Fatal(err)
		}
		return shown(string(text))
	}
	has := func(name string, words ...string) {
		for _, word := range words {
			if !strings.Contains(page(name), shown(word)) {
				t.Errorf("%s does not have %q", name, word)
			}
		}
	}
	flags := func(name string, of []*kong.Flag) {
		for _, f := range of {
			if f.Hidden {
				continue
			}
			has(name, "--"+f.Name, f.Help)
			if f.Short != 0 {
				has(name, "-"+string(f.Short)+",")
			}
			if !f.IsBool() {
				has(name, f.FormatPlaceHolder())
			}
			has(name, f.Envs...)
			has("man1/sallyport.1", f.Envs...)
		}
	}
	has("man1/sallyport.1", "EXIT STATUS", "  1  failed", "any  exec, run, wait: the status of the program", "/etc/sallyport/groups.d/", "/etc/sallyport/sallyport.hcl", "/etc/default/sallyport")
	if strings.Contains(page("man5/sallyport.hcl.5"), "..\n") {
		t.Error("a row of a table ends with two periods")
	}
	flags("man1/sallyport.1", model.Flags)
	for _, verb := range model.Leaves(true) {
		name := "man1/sallyport-" + verb.Name + ".1"
		has("man1/sallyport.1", "sallyport-"+verb.Name, verb.Help)
		has(name, "sallyport "+verb.Name, verb.Help)
		for line := range strings.Lines(verb.Detail) {
			if line != "Exit status:\n" {
				has(name, strings.TrimSpace(line))
			}
		}
		flags(name, append(slices.Clone(verb.Flags), model.Flags...))
		for _, p := range verb.Positional {
			has(name, p.Summary(), p.Help)
		}
	}
}

// The group file's page has all of the reference: each heading, and each word of its tables.
func TestManualPageOfTheGroupFile(t *testing.T) {
	dir, _ := writtenPages(t)
	text, err := os.ReadFile(filepath.Join(dir, "man/man5/sallyport-group.5"))
	if err != nil {
		t.Fatal(err)
	}
	reference, err := os.ReadFile("../../spec/REFERENCE.md")
	if err != nil {
		t.Fatal(err)
	}
	page := shown(string(text))
	if strings.Contains(page, "](") {
		t.Error("a link is left as Markdown")
	}
	rows := 0
	for line := range strings.Lines(string(reference)) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(line), "## "); ok && !strings.Contains(page, shown(heading)) {
			t.Errorf("the page does not have the heading %q", heading)
		}
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			rows++
			name, _, _ = strings.Cut(name, "`")
			if !strings.Contains(page, ".TP\n"+shown(name)) {
				t.Errorf("the page does not have %q of a table", name)
			}
		}
	}
	if rows < 50 {
		t.Errorf("the reference has %d rows that name something, and it had 90", rows)
	}
}

// shown removes what roff does not print: escapes and fonts.
func shown(text string) string {
	return strings.NewReplacer(`\&`, "", `\fB`, "", `\fI`, "", `\fP`, "", `\fR`, "", `\`, "", "`", "").Replace(text)
}

// Each shell offers the verbs, each verb's flags, and the values of an enumeration. ps is a program
// of the test's own, so that the groups are known.
func TestCompletions(t *testing.T) {
	dir, model := writtenPages(t)
	bin, work, home := t.TempDir(), t.TempDir(), t.TempDir()
	ps := "#!/bin/sh\n[ \"$*\" != 'ps -q' ] || echo shop\n"
	if err := os.WriteFile(filepath.Join(bin, "sallyport"), []byte(ps), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.hcl", "b.hcl"} {
		if err := os.WriteFile(filepath.Join(work, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(work, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	type wanted struct {
		line string
		want []string
	}
	lines := []wanted{
		{"daemon --shim ", []string{"group", "host"}},
		{"--root ", []string{"folder"}},
		{"status ", []string{"shop"}},
		{"images ", []string{"load", "ls", "prune", "pull", "rm"}},
		{"--root /x status ", []string{"shop"}},
		{"validate ", []string{"a.hcl", "b.hcl", "folder"}},
		{"rm ", []string{"a.hcl", "b.hcl", "folder", "shop"}},
		{"history --file ", nil},
		{"daemon --operators ", nil},
	}
	var verbs []string
	for _, verb := range model.Leaves(true) {
		verbs = append(verbs, verb.Name)
		var flags []string
		for _, f := range append(slices.Clone(verb.Flags), model.Flags...) {
			if !f.Hidden {
				flags = append(flags, "--"+f.Name)
			}
		}
		slices.Sort(flags)
		lines = append(lines, wanted{verb.Name + " --", flags})
	}
	slices.Sort(verbs)
	lines = append(lines, wanted{"", verbs})

	for shell, script := range map[string]string{"bash": bashOffers, "zsh": zshOffers, "fish": fishOffers} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(shell); err != nil {
				if os.Getenv("CI") != "" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			for _, tt := range lines {
				cmd := exec.Command(shell, "-c", script, shell, tt.line)
				if shell == "fish" { // the others take this word as the script's name
					cmd.Args[3] = "--"
				}
				cmd.Dir = work
				cmd.Env = []string{"PAGES=" + dir, "PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + home, "TERM=dumb", "LC_ALL=C.UTF-8"}
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%q: %v\n%s", tt.line, err, out)
				}
				got := offersIn(string(out))
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("offers for %q (-want +got):\n%s", tt.line, diff)
				}
			}
		})
	}
}

// offersIn reads one offer a line. Behind a tab is its description.
func offersIn(out string) (offers []string) {
	for line := range strings.Lines(out) {
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if word = strings.TrimRight(word, "/="); word != "" {
			offers = append(offers, word)
		}
	}
	slices.Sort(offers)
	return slices.Compact(offers)
}

const bashOffers = `
source "$PAGES/bash-completion/completions/sallyport"
read -ra COMP_WORDS <<< "sallyport $1"
[[ $1 == *" " || -z $1 ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_sallyport
printf '%s\n' "${COMPREPLY[@]}"
`

const fishOffers = `
set -gx fish_complete_path
source $PAGES/fish/vendor_completions.d/sallyport.fish
complete -C "sallyport $argv[1]" | string match -rv '^-.(\t|$)'
true
`

// zsh completes in a terminal only. So one is made, in which each offer is printed where zsh would
// take it, and Tab is pressed.
const zshOffers = `
zmodload zsh/zpty
zpty pty zsh -f -i
zpty -w pty 'PS1=; fpath=($PAGES/zsh/site-functions $fpath); autoload -U compinit; compinit -u -d $HOME/dump
compadd() {
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then builtin compadd "$@"; return; fi
  local -a hits; builtin compadd -A hits "$@"; local hit
  for hit in $hits; do print -r -- "OFFER:$hit"; done
  builtin compadd "$@"
}
ended() { print ENDED; exit }
tab() { comppostfuncs=(ended); _main_complete; }
zle -C tab complete-word tab; bindkey "^I" tab
print READY'
while zpty -r pty line && [[ $line != READY* ]]; do :; done
zpty -w -n pty "sallyport $1"$'\t'
while zpty -r pty line && [[ $line != *ENDED* ]]; do
  [[ $line == *OFFER:* ]] && print -r -- ${${line#*OFFER:}%$'\r'*}
done
zpty -d pty
exit 0
`
