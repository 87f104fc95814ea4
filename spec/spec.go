// Package spec turns group files into validated, normalised, host-independent values. It is pure: the same bytes give the
// same value on every machine, with no root and no daemon. What it refuses it refuses with the place, the source line and
// what to do, every mistake of a file at once.
//
// What bites: relative paths in a group file are relative to [Source.Dir], never to the working directory.
package spec

import (
	"io"

	"github.com/hashicorp/hcl/v2"
)

// A Source is one group file and what is needed to read it.
type Source struct {
	Name  string            // required: shown in diagnostics, usually the path as the operator typed it
	Dir   string            // required: absolute; what relative paths in the file are relative to
	Bytes []byte            // the file
	Vars  map[string]string // values for its variables (command line, then SALLYPORT_VAR_x, resolved by the caller); unknown names in it are an error
	// ReadFile reads a file that the group file names (`file { source = ... }`), by absolute path. nil: os.ReadFile is NOT used; naming a file is an error.
	ReadFile func(path string) ([]byte, error)
}

// Parse reads one group file. Groups are returned only where their own block has no error; diags holds every mistake of the file.
func Parse(src Source) (groups []Group, diags hcl.Diagnostics) { panic("not written yet") }

// Conflicts reports what groups that are each valid can't have together on one host: the same name, the same published host port.
func Conflicts(groups []Group) hcl.Diagnostics { panic("not written yet") }

// WriteDiagnostics prints diagnostics for a person: file, line, column, snippet, detail. files maps Source.Name to its bytes.
func WriteDiagnostics(w io.Writer, files map[string][]byte, diags hcl.Diagnostics, color bool) error {
	panic("not written yet")
}

// VarsFromEnviron picks SALLYPORT_VAR_x=value out of an environment in the form of os.Environ.
func VarsFromEnviron(environ []string) map[string]string { panic("not written yet") }
