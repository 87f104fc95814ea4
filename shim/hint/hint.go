package hint

import (
	"errors"
	"fmt"
	"strings"
)

// A Error is an error with what to do about it.
type Error struct {
	Err  error
	Hint string // one sentence; what the operator should do
}

func (p *Error) Error() string { return p.Err.Error() }

func (p *Error) Unwrap() error { return p.Err }

// Of is what to do about an error, where it says so.
func Of(err error) string {
	var p *Error
	if errors.As(err, &p) {
		return p.Hint
	}
	return ""
}

// OneLine is a text without line breaks.
func OneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func Text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Join makes one error of several, on one line; nil of none.
func Join(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; %w", errs[0], Join(errs[1:]))
}
