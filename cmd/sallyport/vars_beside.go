package main

import (
	"context"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

// besideVars returns the values of the files with variables that are read without being named, by
// the folder of the group files. A folder without a file that declares a variable is not looked
// into.
func besideVars(ctx context.Context, paths []string, contents map[string][]byte) (map[string]spec.FileVars, hcl.Diagnostics, error) {
	folders, found := map[string][]string{}, map[string]spec.FileVars{}
	for _, path := range paths {
		if len(spec.Variables(contents[path])) > 0 {
			folders[filepath.Dir(path)] = append(folders[filepath.Dir(path)], path)
		}
	}
	var diags hcl.Diagnostics
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		files, err := autoVarsIn(ctx, dir)
		if err != nil {
			return nil, nil, usage(err, "")
		}
		vars := spec.FileVars{}
		for _, path := range files {
			src, err := hostfile.Read(ctx, dir, path, spec.MaxGroupFile)
			if err != nil {
				return nil, nil, usage(err, "it is read with each group file of its folder; give it a name that does not end in .auto.vars.hcl to leave it out")
			}
			more, d := spec.ParseVarFile(path, src, group.StopEvaluation(ctx))
			diags = append(diags, d...)
			diags = append(diags, more.Unknown(declaredBeside(ctx, dir, folders[dir], contents, more))...)
			maps.Copy(vars, more)
		}
		found[dir] = vars
	}
	return found, diags, nil
}

// autoVarsIn returns the files of a folder that are read without being named, in the order in which
// they count: the general one, then the others by name.
func autoVarsIn(ctx context.Context, dir string) (paths []string, err error) {
	entries, err := hostfile.ReadDir(ctx, dir)
	if err != nil {
		return nil, err
	}
	var others []string
	for _, e := range entries { // by name
		switch auto, general := spec.IsAutoVarsFile(e.Name()); {
		case general:
			paths = append(paths, filepath.Join(dir, e.Name()))
		case auto:
			others = append(others, filepath.Join(dir, e.Name()))
		}
	}
	return append(paths, others...), nil
}

// declaredBeside returns the variables that group files of a folder declare. Those that are not
// among the files of the command are read only for a value that none of these declares.
func declaredBeside(ctx context.Context, dir string, paths []string, contents map[string][]byte, vars spec.FileVars) []string {
	known := declared(paths, contents)
	if !slices.ContainsFunc(vars.Names(), func(name string) bool { return !slices.Contains(known, name) }) {
		return known
	}
	others, _ := filesIn(ctx, dir, spec.IsGroupFile)
	for _, path := range others {
		if slices.Contains(paths, path) {
			continue
		}
		if src, err := hostfile.Read(ctx, dir, path, spec.MaxGroupFile); err == nil {
			known = append(known, spec.Variables(src)...)
		}
	}
	slices.Sort(known)
	return slices.Compact(known)
}
