// Package pages writes the manual pages and the shells' completions from the model of the command
// line, so that a new verb or flag is in them by itself. Only the program that packages are built
// with imports it, and not the daemon.
package pages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// Files returns the text of each file, by its path below /usr/share. documents are the references
// of files, in Markdown, by the names of their pages.
func Files(app *kong.Application, documents map[string]string) map[string]string {
	verbs := verbsOf(app)
	files := map[string]string{
		"man/man1/" + app.Name + ".1":                     program(app, verbs),
		"bash-completion/completions/" + app.Name:         bash(app.Name, verbs),
		"zsh/site-functions/_" + app.Name:                 zsh(app.Name, verbs),
		"fish/vendor_completions.d/" + app.Name + ".fish": fish(app.Name, verbs),
	}
	for _, v := range verbs[1:] {
		files["man/man1/"+app.Name+"-"+v.name+".1"] = v.page(app.Name)
	}
	for name, text := range documents {
		files["man/man5/"+name+".5"] = document(app.Name, name, text)
	}
	return files
}

// Write writes these files below a folder.
func Write(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A verb is a command of the model. The one without a name is the program itself: what may stand
// before a verb.
type verb struct {
	name, help string
	detail     string // parts of help behind the first one
	group      string // title of the group in the program's help
	args       []arg
	flags      []flag
}

// An arg is a positional argument.
type arg struct {
	summary, help string // summary: as in the synopsis, such as "<file> ..."
	values        values
}

type flag struct {
	long, short string
	placeholder string // "" if the flag takes no value
	help        string
	envs        []string
	repeats     bool
	values      values
}

// values are offered by a shell for an argument, or for the value of a flag.
type values struct {
	words                 []string
	files, groups, folder bool
	others                bool // another program's words follow
}

// verbsOf returns the verbs that help shows. The first is the program itself.
func verbsOf(app *kong.Application) []verb {
	common := flagsOf(app.Node)
	verbs := []verb{{help: app.Help, flags: common}}
	for _, node := range app.Children {
		if node.Hidden {
			continue
		}
		v := verb{name: node.Name, help: node.Help, detail: node.Detail, flags: append(flagsOf(node), common...)}
		if group := node.ClosestGroup(); group != nil {
			v.group = strings.TrimSuffix(group.Title, ":")
		}
		for _, p := range node.Positional {
			v.args = append(v.args, arg{summary: p.Summary(), help: p.Help, values: valuesOf(p)})
		}
		verbs = append(verbs, v)
	}
	return verbs
}

func flagsOf(node *kong.Node) (flags []flag) {
	for _, f := range node.Flags {
		if f.Hidden {
			continue
		}
		out := flag{long: "--" + f.Name, help: f.Help, envs: f.Envs, repeats: f.IsCumulative()}
		if f.Short != 0 {
			out.short = "-" + string(f.Short)
		}
		if !f.IsBool() && !f.IsCounter() {
			out.placeholder, out.values = f.FormatPlaceHolder(), valuesOf(f.Value)
		}
		flags = append(flags, out)
	}
	return flags
}

// valuesOf reads a value's name or placeholder: "group|file.hcl" is a group or a file.
func valuesOf(v *kong.Value) (out values) {
	if v.Enum != "" {
		out.words = v.EnumSlice()
		return out
	}
	kind := v.Name
	if v.Flag != nil {
		kind = strings.ToLower(v.Flag.FormatPlaceHolder())
	}
	kinds := strings.FieldsFunc(kind, func(r rune) bool { return strings.ContainsRune("|.[]", r) })
	out.folder = slices.Contains(kinds, "dir")
	out.files = slices.Contains(kinds, "file")
	out.groups = v.Flag == nil && slices.Contains(kinds, "group") // a flag's is a unix group
	out.others = v.PassthroughMode != kong.PassThroughModeNone
	return out
}
