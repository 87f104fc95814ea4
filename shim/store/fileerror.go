package store

import (
	"cmp"
	"io"

	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

// A FileError has the mistakes in the text of group files.
type FileError struct {
	Diags hcl.Diagnostics
	Files map[string][]byte // by the names in the diagnostics
}

// Error returns the first mistake, on one line, and the number of the others. Write prints all.
func (e *FileError) Error() string {
	return cmp.Or(spec.OneLine(e.Diags), "no mistake")
}

// Write prints every mistake with its source line and what to do.
func (e *FileError) Write(w io.Writer, color bool) error {
	return spec.WriteDiagnostics(w, e.Files, e.Diags, 0, color)
}

// Is reports whether target is [group.ErrFile], which every FileError is.
func (e *FileError) Is(target error) bool { return target == group.ErrFile }

// Line returns the line of the first mistake that has a place. It is 0 if none has.
func (e *FileError) Line() int {
	for _, d := range e.Diags {
		if d.Severity == hcl.DiagError && d.Subject != nil {
			return d.Subject.Start.Line
		}
	}
	return 0
}
