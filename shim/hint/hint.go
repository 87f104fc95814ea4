// Package hint has errors that say what to do about them, and prints errors on one line.
package hint

import (
	"errors"
	"fmt"
	"strings"
)

// An Error is an error with advice for the operator.
type Error struct {
	Err  error
	Hint string // one sentence: what to do. Empty means none
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Of returns the hint of the outermost Error in err's chain, or "" if there is none.
func Of(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Hint
	}
	return ""
}

// OneLine returns the text with each run of white space, line breaks included, as one space.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// Text returns the error's text. It is empty for a nil error.
func Text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Join returns one error with the texts of all, separated by "; ". errors.Join would put each on a
// line of its own. The result is nil if there are none.
func Join(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; %w", errs[0], Join(errs[1:]))
}
