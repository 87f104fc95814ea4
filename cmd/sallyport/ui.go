package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim"
)

// The manners of the command: results go to standard output; everything else to standard error, one line each, with a
// "sallyport:" prefix, lower case and no period. Colour is for terminals, and only where NO_COLOR is not set.

// exit statuses besides 0, done.
const (
	statusFailed = 1
	statusUsage  = 2 // the command line or a file is wrong
	// statusOwn is of a verb that else ends with another program's status, whatever failed: docker run and env have it so.
	statusOwn = 125
)

// A ui is what a verb talks to a person with.
type ui struct {
	in       *os.File
	out, err io.Writer
	environ  []string
	color    bool // of err
}

func newUI(in, out, err *os.File, environ []string) *ui {
	return &ui{in: in, out: out, err: err, environ: environ, color: term.IsTerminal(int(err.Fd())) && !noColor(environ)}
}

// noColor follows no-color.org: present and not empty.
func noColor(environ []string) bool {
	return slices.ContainsFunc(environ, func(kv string) bool {
		value, ok := strings.CutPrefix(kv, "NO_COLOR=")
		return ok && value != ""
	})
}

// notef tells a person what happens; it is no result.
func (u *ui) notef(format string, args ...any) {
	fmt.Fprintf(u.err, "sallyport: %s\n", oneLine(fmt.Sprintf(format, args...)))
}

// json prints a result for a program.
func (u *ui) json(v any) error {
	enc := json.NewEncoder(u.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// fail prints an error with its hint, if there is any, and returns the exit status it calls for.
func (u *ui) fail(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	u.notef("error: %v", err)
	if hint := hintOf(err); hint != "" {
		u.notef("hint: %s", hint)
	}
	if _, ok := errors.AsType[*ownFailure](err); ok {
		return statusOwn
	}
	if _, ok := errors.AsType[*usageError](err); ok || errors.Is(err, shim.ErrFile) {
		return statusUsage
	}
	return statusFailed
}

// hintOf is what to do about an error; "" where nobody knows.
func hintOf(err error) string {
	if problem, ok := errors.AsType[*shim.Problem](err); ok {
		return problem.Hint
	}
	switch {
	case errors.Is(err, shim.ErrNoGroup):
		return "\"sallyport ps\" lists the groups"
	case errors.Is(err, shim.ErrNoContainer):
		return "\"sallyport status GROUP\" lists its containers"
	case errors.Is(err, shim.ErrNoGeneration):
		return "\"sallyport history GROUP\" lists the generations"
	}
	return ""
}

// An exitStatus ends the program with that status and without another word: all has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// An ownFailure is of a verb that else ends with another program's exit status.
type ownFailure struct{ err error }

func (e *ownFailure) Error() string { return e.err.Error() }
func (e *ownFailure) Unwrap() error { return e.err }

// A usageError says that the command line or a file is wrong, rather than that something failed.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage makes err a usageError with a hint; an empty hint is none.
func usage(err error, hint string) error {
	return &usageError{&shim.Problem{Err: err, Hint: hint}}
}

// oneLine keeps an error to the one line it is promised: what came from elsewhere may hold several.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
