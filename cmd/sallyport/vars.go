package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// variableValues are the values for the variables of one group file. Those of the flags come first,
// then those of files with variables, then those of the environment.
type variableValues struct {
	flags, files, environ map[string]string
	// beside has, by variable, the file in the folder of the group file that has its value. A value
	// of files that is not in it comes from a --var-file.
	beside map[string]string
}

// of returns the value of a variable and where it comes from. ok is false if the variable has its
// default.
func (v variableValues) of(name string) (value, from string, ok bool) {
	for _, s := range []struct {
		values map[string]string
		from   string
	}{{v.flags, group.FromFlag}, {v.files, cmp.Or(v.beside[name], group.FromFile)}, {v.environ, group.FromEnvironment}} {
		if value, ok := s.values[name]; ok {
			return value, s.from, true
		}
	}
	return "", "", false
}

// values returns the values for each of the group files. diags has the mistakes in the files with
// variables.
func (a *groupArgs) values(ctx context.Context, ui *ui, paths []string, contents map[string][]byte) (values []variableValues, diags hcl.Diagnostics, err error) {
	given := spec.FileVars{}
	for _, path := range a.VarFiles {
		if path == "" {
			return nil, nil, usage(errors.New("--var-file: the name of the file is empty"), "")
		}
		src, err := readVarFile(ctx, path)
		if err != nil {
			return nil, nil, usage(fmt.Errorf("--var-file: %w", err), "")
		}
		vars, d := spec.ParseVarFile(path, src, group.StopEvaluation(ctx))
		diags = append(diags, d...)
		maps.Copy(given, vars)
	}
	diags = append(diags, given.Unknown(declared(paths, contents))...)
	folders, d, err := besideVars(ctx, paths, contents)
	if err != nil {
		return nil, nil, err
	}
	diags = append(diags, d...)
	environ := spec.VarsFromEnviron(ui.environ)
	for _, path := range paths {
		v, all := variableValues{flags: a.Var, environ: environ}, spec.FileVars{}
		for name, value := range folders[filepath.Dir(path)] {
			if _, ok := given[name]; !ok {
				all[name] = value
				v.beside = set(v.beside, name, filepath.Base(folders[filepath.Dir(path)].File(name)))
			}
		}
		maps.Copy(all, given)
		v.files, d = all.Texts(contents[path], group.StopEvaluation(ctx))
		values, diags = append(values, v), append(diags, d...)
	}
	slices.SortStableFunc(diags, func(a, b *hcl.Diagnostic) int { return cmp.Compare(a.Subject.Filename, b.Subject.Filename) })
	return values, distinctPlaces(diags), nil
}

// readVarFile reads a file with variables. A shell puts a path below /dev/fd in the place of
// <(COMMAND): that pipe is read to its end. Any other one is refused.
func readVarFile(ctx context.Context, path string) ([]byte, error) {
	if !strings.HasPrefix(path, "/dev/fd/") {
		return hostfile.Read(ctx, filepath.Dir(path), path, spec.MaxGroupFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := readStream(ctx, f, spec.MaxGroupFile)
	if err == nil && len(content) > spec.MaxGroupFile {
		err = fmt.Errorf("%s has more than %d KiB, and a file with variables may have at most that", path, spec.MaxGroupFile>>10)
	}
	return content, err
}

// distinctPlaces drops what is reported twice, as a value that is wrong for several group files.
func distinctPlaces(diags hcl.Diagnostics) (kept hcl.Diagnostics) {
	for _, d := range diags {
		if !slices.ContainsFunc(kept, func(k *hcl.Diagnostic) bool { return *k.Subject == *d.Subject }) {
			kept = append(kept, d)
		}
	}
	return kept
}

// declared returns the names of the variables that the files declare, sorted.
func declared(paths []string, contents map[string][]byte) (known []string) {
	for _, path := range paths {
		known = append(known, spec.Variables(contents[path])...)
	}
	slices.Sort(known)
	return slices.Compact(known)
}

// checkVars refuses a --var that no file declares, because it is a typing mistake. A variable of
// the environment that no file declares may be meant for other files.
func (a *groupArgs) checkVars(paths []string, contents map[string][]byte) error {
	known := declared(paths, contents)
	for _, name := range slices.Sorted(maps.Keys(a.Var)) {
		if slices.Contains(known, name) {
			continue
		}
		hint := "no variable is declared; add: variable \"" + name + "\" { type = string }"
		if len(known) > 0 {
			hint = "declared here: " + strings.Join(known, ", ")
		}
		return usage(fmt.Errorf("--var %s: no variable of that name", name), hint)
	}
	return nil
}

// A clearer is an error of the parser in other words.
type clearer struct {
	text string
	err  error
}

func (c *clearer) Error() string { return c.text }
func (c *clearer) Unwrap() error { return c.err }

var varWithoutValue = regexp.MustCompile(`^--var: expected .* but got "(.*)"$`)

// explainVar returns the parser's error about a --var without a value in our words. It returns any
// other one as it is.
func explainVar(err error) error {
	text := err.Error()
	if m := varWithoutValue.FindStringSubmatch(text); m != nil {
		return usage(&clearer{"--var " + m[1] + ": the value is missing", err}, "write --var "+shellWord(m[1]+"=VALUE"))
	}
	if strings.HasPrefix(text, "--var: missing value") {
		return usage(&clearer{"--var: the name and the value are missing", err}, "write --var NAME=VALUE")
	}
	return err
}
