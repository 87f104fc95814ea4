// Package hint has errors that say what to do about them, and prints errors on one line. It keeps
// the end of a command's output for them.
package hint

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
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

// Limits for [Excerpt], in bytes.
const (
	Short = 160 // for a name
	Long  = 320 // for a line of output, and for an error of a library or of another program, which may quote several
)

// Excerpt returns the beginning of a text, at most that many bytes. It is for text that a
// container, an image or an archive chose, before it goes into an error, an event or a status. The
// result is one line without control characters, so that no terminal acts on it.
func Excerpt(text string, most int) string {
	cut := len(text) > 4*most // a rune has 4 bytes at most, so what is looked at is bounded too
	if cut {
		text = text[:4*most]
	}
	text = printable(OneLine(text))
	if len(text) <= most && !cut {
		return text
	}
	end := min(len(text), most-len("…"))
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// printable returns the text without control characters, so that no terminal acts on it.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// longest is how long the text of a [Bound] error may be, in bytes.
const longest = 480

// Bound returns an error with the beginning of err's text, and all else of err. It is for errors of
// libraries and other programs. They quote without limit the names and words of a container, an
// image or an archive. An err that is short enough, or nil, is returned as it is.
func Bound(err error) error {
	if err == nil || len(err.Error()) <= longest {
		return err
	}
	return &bounded{Excerpt(err.Error(), longest), err}
}

type bounded struct {
	text string
	err  error
}

func (b *bounded) Error() string { return b.text }
func (b *bounded) Unwrap() error { return b.err }

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
