package spec

import _ "embed"

// groupSchema is made of the kinds of blocks and of the tables of REFERENCE.md:
// go test ./spec -run TestGroupSchema -update.
//
//go:embed group.schema.json
var groupSchema string

// GroupSchema returns a JSON Schema, draft 7, of a group file in the JSON syntax of HCL. It is for
// editors: it refuses nothing that [Parse] takes and a person would write, and accepts much that
// Parse refuses.
func GroupSchema() string { return groupSchema }
