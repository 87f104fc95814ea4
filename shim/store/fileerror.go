package store

import (
	"fmt"
	"io"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// A FileError is what is wrong with the text of group files.
type FileError struct {
	Diags hcl.Diagnostics
	Files map[string][]byte // by the name the diagnostics use
}

// Error is the first mistake on one line, and how many more there are. Write shows them all.
func (e *FileError) Error() string {
	errs := e.Diags.Errs()
	if len(errs) == 0 {
		return "no mistake"
	}
	text := strings.ReplaceAll(errs[0].Error(), "\n", " ")
	if more := len(errs) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Write prints every mistake with its source line and what to do.
func (e *FileError) Write(w io.Writer, color bool) error {
	return spec.WriteDiagnostics(w, e.Files, e.Diags, color)
}

// Is makes every FileError an [group.ErrFile].
func (e *FileError) Is(target error) bool { return target == group.ErrFile }

// Line is where the first mistake is; 0 when it has no place.
func (e *FileError) Line() int {
	for _, d := range e.Diags {
		if d.Severity == hcl.DiagError && d.Subject != nil {
			return d.Subject.Start.Line
		}
	}
	return 0
}
