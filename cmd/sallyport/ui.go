package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Results go to standard output. Everything else goes to standard error, one line each, with the
// prefix "sallyport:", in lower case and without a period. A terminal gets colours, and lines that
// fit it. A pipe gets neither, so that each line is whole.

// A ui is a verb's connection to the operator. All text for people and all JSON goes to out and
// err, which show what a terminal would act on. stdout and stderr are the files below them. They
// are for the output of containers and for text that holds our own colours.
type ui struct {
	in             *os.File
	out, err       io.Writer
	stdout, stderr *os.File
	environ        []string
	again          *retyper         // completes the commands in messages; nil: they are complete
	clock          func() time.Time // nil: the host's
	printed        bool             // a result as JSON
	mistakes       []diagnostic     // in files, that were found
}

func newUI(in, out, err *os.File, environ []string) *ui {
	return &ui{
		in: in, out: &visibleWriter{w: out, screen: screenOf(out, environ)}, err: &visibleWriter{w: err, screen: screenOf(err, environ)},
		stdout: out, stderr: err, environ: environ,
	}
}

// now returns the time. The tests replace it.
func (u *ui) now() time.Time {
	if u.clock == nil {
		return time.Now()
	}
	return u.clock()
}

// flush prints what out and err hold back.
func (u *ui) flush() {
	for _, w := range []io.Writer{u.out, u.err} {
		if v, ok := w.(*visibleWriter); ok {
			v.flush()
		}
	}
}

// notef prints a message that is not part of the result.
func (u *ui) notef(format string, args ...any) {
	u.note(u.err, fmt.Sprintf(format, args...))
}

// note prints a message that is not part of the result to a writer.
func (u *ui) note(to io.Writer, message string) {
	const prefix = "sallyport: "
	text := u.again.text(joinLines(message))
	p := newPage(to)
	io.WriteString(p, prefix)
	if kind, _, found := strings.Cut(text, ":"); found && messageStyles[kind] != plain {
		p.paint(messageStyles[kind], kind+":")
		text = text[len(kind)+1:]
	}
	p.end(len(prefix), text)
	_ = p.print()
}

// messageStyles are those of the words that a message can begin with.
var messageStyles = map[string]style{"error": red, "warning": yellow}

// diagnostics prints mistakes in files, whose contents are by name.
func (u *ui) diagnostics(contents map[string][]byte, diags hcl.Diagnostics) error {
	s := newPage(u.err).screen
	return spec.WriteDiagnostics(u.stderr, contents, diags, s.width, s.color)
}

// sayf prints a line of a result for people.
func (u *ui) sayf(format string, args ...any) {
	p := newPage(u.out)
	p.end(2, u.again.text(fmt.Sprintf(format, args...)))
	_ = p.print()
}

// json prints a result for programs.
func (u *ui) json(v any) error {
	enc := json.NewEncoder(u.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	u.printed = true
	return enc.Encode(v)
}

// fail prints an error with its hint, if it has one, and returns the exit status for it.
func (u *ui) fail(err error) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if several, ok := errors.AsType[failures](err); ok {
		status := 0
		for _, err := range several {
			status = max(status, u.fail(err))
		}
		return status
	}
	u.notef("error: %v", err)
	if hint := hintOf(err); hint != "" {
		u.notef("hint: %s", hint)
	}
	if end, ok := errors.AsType[*signalled](err); ok {
		return end.status()
	}
	if _, ok := errors.AsType[*timedOut](err); ok {
		return statusTimeout
	}
	if _, ok := errors.AsType[*ownFailure](err); ok {
		switch {
		case errors.Is(err, host.ErrNoProgram):
			return statusNoProgram
		case errors.Is(err, host.ErrCannotRun):
			return statusCannotRun
		}
		return statusOwn
	}
	if _, ok := errors.AsType[*usageError](err); ok || errors.Is(err, group.ErrFile) {
		return statusUsage
	}
	return statusFailed
}

// hintOf returns the error's own hint, or else the verb that lists what the error misses. It is ""
// if there is no hint.
func hintOf(err error) string {
	if text := hint.Of(err); text != "" {
		return text
	}
	switch {
	case errors.Is(err, group.ErrNoGroup):
		return "\"sallyport ps\" lists the groups"
	case errors.Is(err, group.ErrNoContainer):
		return "\"sallyport status GROUP\" lists its containers"
	case errors.Is(err, group.ErrNoGeneration):
		return "\"sallyport history GROUP\" lists the generations"
	}
	return ""
}

// An exitStatus ends the program with that status. Nothing is printed, since all messages are
// already printed.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// An ownFailure is an error of a verb that otherwise exits with another program's status.
type ownFailure struct{ err error }

func (e *ownFailure) Error() string { return e.err.Error() }
func (e *ownFailure) Unwrap() error { return e.err }

// A timedOut is the error of such a verb whose time is over.
type timedOut struct{ err error }

func (e *timedOut) Error() string { return e.err.Error() }
func (e *timedOut) Unwrap() error { return e.err }

// A usageError is a mistake in the command line or in a file.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage returns err as a usageError. An empty hint means none.
func usage(err error, hint_ string) error {
	return &usageError{&hint.Error{Err: err, Hint: hint_}}
}

// joinLines joins the lines of a text by "; ". Unlike [hint.OneLine] it keeps the other white
// space.
func joinLines(s string) string {
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
