package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

type fmtVerb struct {
	Paths []string `arg:"" name:"file" help:"Files of HCL, or folders with such files (*.hcl). - formats standard input to standard output."`
	Check bool     `help:"Change nothing. Exit with 1 if a file is not in the usual style."`
	Diff  bool     `help:"Change nothing. Show what would change."`
}

// isNative reports whether a file of this name in a folder is one to format: JSON is not.
func isNative(name string) bool {
	return (spec.IsGroupFile(name) || spec.IsVarsFile(name)) && filepath.Ext(name) == ".hcl"
}

// A formatted is a file with its text in the usual style.
type formatted struct {
	path    string
	was, is []byte
	damaged bool // it has syntax errors, so there is no text in the usual style
	stale   bool // a text was kept of it that is not needed, see [checkKept]
}

func (f formatted) differs() bool { return !f.damaged && !bytes.Equal(f.was, f.is) }

// Run formats the files, and prints the names of those that it changes. A file with a syntax error
// stays as it is, and does not keep the others from being formatted.
func (v *fmtVerb) Run(ctx context.Context, ui *ui) error {
	files, diags, err := v.format(ctx, ui)
	if err != nil {
		return err
	}
	contents := map[string][]byte{}
	for _, f := range files {
		contents[f.path] = f.was
	}
	if err := ui.diagnose(contents, diags, diags); err != nil {
		return err
	}
	differs, failed := false, failures{}
	for _, f := range files {
		if err := v.finish(ctx, ui, f); err != nil {
			failed = append(failed, err)
		}
		differs = differs || f.differs()
	}
	switch {
	case len(failed) > 0:
		return failed
	case diags.HasErrors():
		return exitStatus(statusUsage)
	case v.Check && differs:
		return exitStatus(statusFailed)
	}
	return nil
}

// format reads and formats the files.
func (v *fmtVerb) format(ctx context.Context, ui *ui) (files []formatted, diags hcl.Diagnostics, err error) {
	paths, err := expandFiles(ctx, v.Paths, isNative)
	if err != nil {
		return nil, nil, err
	}
	for _, path := range paths {
		f := formatted{path: path}
		if path == stdinName {
			f.was, err = readStdin(ctx, ui.in)
		} else if f.was, err = hostfile.Read(ctx, filepath.Dir(path), path, spec.MaxGroupFile); err != nil {
			err = usage(err, "")
		} else if f.stale, err = checkKept(path, f.was); err != nil {
			err = usage(err, "compare the two, put back what is right, and remove the kept one")
		}
		if err != nil {
			return nil, nil, err
		}
		is, found := spec.Format(path, f.was)
		f.is, f.damaged = is, found.HasErrors()
		files, diags = append(files, f), append(diags, found...)
	}
	return files, diags, nil
}

// finish prints or writes one file.
func (v *fmtVerb) finish(ctx context.Context, ui *ui, f formatted) error {
	if f.stale && !v.Check && !v.Diff {
		if err := removeKept(f.path); err != nil {
			return err
		}
	}
	switch {
	case f.damaged:
		return nil
	case f.path == stdinName && !v.Check && !v.Diff:
		_, err := content(ui.stdout, ui.out).Write(f.is)
		return err
	case !f.differs():
		return nil
	case v.Diff:
		return writeDiff(ui.out, f)
	}
	if !v.Check {
		if err := f.rewrite(ctx); err != nil {
			return fmt.Errorf("format %s: %w", f.path, err)
		}
	}
	ui.sayf("%s", f.path)
	return nil
}

// writeDiff prints what formatting changes.
func writeDiff(w io.Writer, f formatted) error {
	out := newPage(w)
	for text := range strings.Lines(string(diff.Unified(f.path, f.was, f.path+" (formatted)", f.is))) {
		out.paint(diffStyle(text), strings.TrimSuffix(text, "\n"))
		io.WriteString(out, "\n")
	}
	return out.print()
}

// rewrite puts the new text into the file, see the type of that name. A link to it stays a link. A
// file that has changed meanwhile stays as it is.
func (f formatted) rewrite(ctx context.Context) error {
	path, err := filepath.EvalSymlinks(f.path)
	if err != nil {
		return err
	}
	changed := func() error {
		now, err := hostfile.Read(ctx, filepath.Dir(f.path), f.path, spec.MaxGroupFile)
		if err == nil && !bytes.Equal(now, f.was) {
			err = errors.New("it has changed meanwhile: format it again")
		}
		return err
	}
	return rewrite{path, f.was, f.is, changed}.run()
}
