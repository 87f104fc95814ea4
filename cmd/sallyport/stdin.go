package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// stdinArg stands for a group file from standard input, and stdinName for its name in messages. No
// other group file has that name, since it does not end in .hcl.
const (
	stdinArg  = "-"
	stdinName = "<stdin>"
)

// readStdin reads a group file from standard input. It returns when ctx ends, although the read may
// still wait.
func readStdin(ctx context.Context, in *os.File) ([]byte, error) {
	if term.IsTerminal(int(in.Fd())) {
		return nil, usage(errors.New("standard input is a terminal, and "+stdinArg+" reads a group file from it"),
			"pipe the file into the command, as in: make-group | sallyport apply "+stdinArg)
	}
	content, err := readStream(ctx, in, spec.MaxGroupFile)
	switch {
	case ctx.Err() != nil:
		return nil, interrupted(ctx, ctx.Err(), "nothing has changed")
	case err != nil:
		return nil, usage(fmt.Errorf("read standard input: %w", err), "")
	case len(content) == 0:
		return nil, usage(errors.New("standard input is empty"), "the program that was to write a group file has written nothing")
	case len(content) > spec.MaxGroupFile:
		return nil, usage(fmt.Errorf("standard input has more than %d KiB, and a group file may have at most that", spec.MaxGroupFile>>10), "")
	}
	return content, nil
}

// readStream reads a stream to its end, and no more than one byte above most. It returns when ctx
// ends, although the read may still wait.
func readStream(ctx context.Context, in io.Reader, most int64) ([]byte, error) {
	type result struct {
		content []byte
		err     error
	}
	done := make(chan result, 1)
	go func() {
		content, err := io.ReadAll(io.LimitReader(in, most+1))
		done <- result{content, err}
	}()
	select {
	case r := <-done:
		return r.content, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// stdinFile returns the name under which a file from standard input is installed: that of its
// group. So a later one of the same group replaces it.
func stdinFile(groups []spec.Group) (name string, diags hcl.Diagnostics) {
	name = groups[0].Name + ".hcl"
	if len(groups) > 1 {
		diags = stdinMistake(groups[1].Pos, "Several groups in standard input", fmt.Sprintf(
			"A file from standard input is installed under the name of its group, here %s. Give each group to a command of its own, or put them into a file.", name))
	}
	return name, diags
}

// sameNames reports a file that would be installed under the name of the one from standard input.
func sameNames(bundles []group.Bundle) hcl.Diagnostics {
	i := slices.IndexFunc(bundles, func(b group.Bundle) bool { return filepath.Base(b.Path) == stdinName })
	for j, b := range bundles {
		if i >= 0 && i != j && b.Name == bundles[i].Name {
			return stdinMistake(spec.Pos{Line: 1, Column: 1}, "Two files with one name", fmt.Sprintf(
				"A file from standard input is installed under the name of its group, %s, and so is %s. Give one of them to a command of its own.", b.Name, b.Path))
		}
	}
	return nil
}

func stdinMistake(at spec.Pos, summary, detail string) hcl.Diagnostics {
	place := hcl.Pos{Line: at.Line, Column: at.Column}
	return hcl.Diagnostics{{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &hcl.Range{Filename: stdinName, Start: place, End: place}}}
}
