package shim

import (
	"errors"
	"fmt"
	"strings"
)

// A Problem is an error with what to do about it.
type Problem struct {
	Err  error
	Hint string // one sentence; what the operator should do
}

func (p *Problem) Error() string { return p.Err.Error() }

func (p *Problem) Unwrap() error { return p.Err }

// hintOf is what to do about an error, where it says so.
func hintOf(err error) string {
	var p *Problem
	if errors.As(err, &p) {
		return p.Hint
	}
	return ""
}

// oneLine is a text without line breaks.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// joinLine makes one error of several, on one line; nil of none.
func joinLine(errs []error) error {
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	return fmt.Errorf("%w; %w", errs[0], joinLine(errs[1:]))
}
