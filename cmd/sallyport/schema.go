package main

import (
	"io"

	"github.com/sallyport/sallyport/spec"
)

type schemaVerb struct{}

// Run prints the JSON Schema of a group file in JSON.
func (v *schemaVerb) Run(ui *ui) error {
	_, err := io.WriteString(content(ui.stdout, ui.out), spec.GroupSchema())
	return err
}
