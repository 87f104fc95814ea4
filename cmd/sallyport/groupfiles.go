package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// groupArgs are the arguments of every verb that reads group files.
type groupArgs struct {
	Paths    []string          `arg:"" name:"file" help:"Group files, or folders with group files (*.hcl, *.hcl.json). - is one group file from standard input."`
	Var      map[string]string `placeholder:"NAME=VALUE" mapsep:"none" help:"Set a variable. Can be repeated, and -var works too. Default: --var-file, *.auto.vars.hcl, then SALLYPORT_VAR_NAME of the environment."`
	VarFiles []string          `name:"var-file" placeholder:"FILE" sep:"none" help:"Set the variables that a file has: lines NAME = VALUE, or an object of JSON in *.json. Can be repeated, and the last one counts."`
	Locked   bool              `help:"Use only images whose digests are in the lock file beside each group file (sallyport.lock)."`

	unlocked bool // lock files are not looked at
}

// A reading is the content of the group files of one command line.
type reading struct {
	bundles  []group.Bundle
	groups   []spec.Group
	paths    []string // of the bundles, as they are shown
	contents map[string][]byte
}

// mostMistakes is how many mistakes are printed. The rest often follows from the first.
const mostMistakes = 20

// read reads and checks the group files. It prints the mistakes in them, at most so many. The error
// then only carries the exit status.
func (a *groupArgs) read(ctx context.Context, ui *ui, most int) (reading, error) {
	paths, err := expand(ctx, a.Paths)
	if err != nil {
		return reading{}, err
	}
	contents := make(map[string][]byte, len(paths))
	for _, path := range paths {
		if path == stdinName {
			contents[path], err = readStdin(ctx, ui.in)
		} else if contents[path], err = hostfile.Read(ctx, filepath.Dir(path), path, spec.MaxGroupFile); err != nil {
			err = usage(err, "")
		}
		if err == nil {
			err = checkLanguage(path, contents[path])
		}
		if err != nil {
			return reading{}, err
		}
	}
	if err := a.checkVars(paths, contents); err != nil {
		return reading{}, err
	}
	values, diags, err := a.values(ctx, ui, paths, contents)
	if err != nil {
		return reading{}, err
	}
	var r reading
	if !diags.HasErrors() { // else what follows from them would be reported, too
		r, diags = readAll(ctx, paths, contents, values)
	}
	var notes []string
	if r.paths, r.contents = paths, contents; !diags.HasErrors() && !a.unlocked {
		more, found, err := a.useLocks(ctx, paths, &r, contents)
		if err != nil {
			return reading{}, err
		}
		diags, notes = append(diags, more...), found
	}
	if len(diags) > most { // then those that have to be corrected first
		slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Severity, b.Severity) })
	}
	printed := diags[:min(most, len(diags))]
	if err := ui.diagnose(contents, printed, diags); err != nil {
		return reading{}, err
	}
	if rest := diags[len(printed):]; len(rest) > 0 {
		ui.notef("%s more, in %s; \"sallyport validate --all FILE\" shows them", plural(len(rest), "mistake"), plural(filesOf(rest), "file"))
	}
	if diags.HasErrors() {
		return reading{}, exitStatus(statusUsage)
	}
	for _, note := range notes {
		ui.notef("%s", note)
	}
	return r, nil
}

// readAll parses the files, and checks them against each other.
func readAll(ctx context.Context, paths []string, contents map[string][]byte, values []variableValues) (r reading, diags hcl.Diagnostics) {
	for i, path := range paths {
		bundle, groups, ds := readOne(ctx, path, contents[path], values[i])
		if path == stdinName && !ds.HasErrors() {
			var d hcl.Diagnostics
			bundle.Name, d = stdinFile(groups)
			ds = append(ds, d...)
		}
		r.bundles = append(r.bundles, bundle)
		r.groups = append(r.groups, groups...)
		diags = append(diags, ds...)
	}
	if !diags.HasErrors() {
		diags = append(sameNames(r.bundles), diags...)
	}
	if !diags.HasErrors() {
		diags = append(diags, spec.Conflicts(r.groups)...)
	}
	return r, diags
}

// filesOf counts the files that the mistakes are in.
func filesOf(diags hcl.Diagnostics) int {
	files := map[string]bool{}
	for _, d := range diags {
		if d.Subject != nil {
			files[d.Subject.Filename] = true
		}
	}
	return len(files)
}

// readOne parses one file. The bundle has everything that the file was parsed with, so the daemon
// gets the same result from it.
func readOne(ctx context.Context, path string, src []byte, values variableValues) (group.Bundle, []spec.Group, hcl.Diagnostics) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return group.Bundle{}, nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: err.Error()}}
	}
	b := group.Bundle{Name: filepath.Base(abs), Path: abs, HCL: src}
	for _, name := range spec.Variables(src) {
		if value, from, ok := values.of(name); ok {
			b.Vars, b.From = set(b.Vars, name, value), set(b.From, name, from)
		}
	}
	groups, diags := spec.Parse(spec.Source{
		Name: path, Dir: filepath.Dir(abs), Bytes: src, Vars: b.Vars, Stop: group.StopEvaluation(ctx),
		ReadFile: func(name string) ([]byte, error) {
			content, err := hostfile.ReadNamed(ctx, filepath.Dir(abs), name, spec.MaxPlacedFile)
			if err == nil {
				b.Files = set(b.Files, name, content)
			}
			return content, err
		},
	})
	return b, groups, diags
}

// expand is expandFiles for group files. No two files in the result share a base name, since a file
// is installed under it.
func expand(ctx context.Context, args []string) ([]string, error) {
	paths, err := expandFiles(ctx, args, spec.IsGroupFile)
	if err != nil {
		return nil, err
	}
	seen := map[string]string{}
	for _, path := range paths {
		if path == stdinName { // its group has the name
			continue
		}
		base := filepath.Base(path)
		if spec.IsVarsFile(base) {
			return nil, usage(fmt.Errorf("%s: not a group file, but one with values for variables", path), "name the group file, and give the values with --var-file")
		}
		if !strings.HasSuffix(strings.TrimSuffix(base, ".json"), ".hcl") {
			return nil, notGroupFile(ctx, path)
		}
		if other, ok := seen[base]; ok {
			return nil, usage(fmt.Errorf("%s and %s would be installed under the same name", other, path), "rename one of them")
		}
		seen[base] = path
	}
	return paths, nil
}

// expandFiles replaces folders by those files in them whose base name is accepted, and - by
// stdinName. The result is never empty.
func expandFiles(ctx context.Context, args []string, accepted func(name string) bool) ([]string, error) {
	var paths []string
	for _, arg := range args {
		if arg == stdinArg {
			if slices.Contains(paths, stdinName) {
				return nil, usage(errors.New("standard input can be read once only"), "write "+stdinArg+" once")
			}
			paths = append(paths, stdinName)
			continue
		}
		if arg == "" { // such as that of an unset variable of a shell
			return nil, usage(errors.New("the name of a group file is empty"), "")
		}
		info, err := hostfile.Stat(ctx, arg)
		switch {
		case errors.Is(err, fs.ErrNotExist) && arg == "help":
			return nil, usage(fmt.Errorf("%s: no such file or folder", arg), helpHint)
		case errors.Is(err, fs.ErrNotExist):
			return nil, usage(fmt.Errorf("%s: no such file or folder", arg), "")
		case err != nil:
			return nil, usage(err, "")
		case !info.IsDir():
			paths = append(paths, arg)
			continue
		}
		found, err := filesIn(ctx, arg, accepted)
		if err != nil {
			return nil, usage(err, "")
		}
		if len(found) == 0 {
			return nil, noGroupFile(ctx, arg)
		}
		paths = append(paths, found...)
	}
	return paths, nil
}

// filesIn lists the files of a folder whose base name is accepted.
func filesIn(ctx context.Context, dir string, accepted func(name string) bool) ([]string, error) {
	entries, err := hostfile.ReadDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, e := range entries {
		if accepted(e.Name()) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, nil
}

// set is m[k] = v for a map that may be nil.
func set[V any](m map[string]V, k string, v V) map[string]V {
	if m == nil {
		m = map[string]V{}
	}
	m[k] = v
	return m
}
