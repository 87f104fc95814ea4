package shim

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/spec"
)

var Finish = (*Store).finish

// WithParser gives a store another parser of files, for tests of the store alone.
func (s *Store) WithParser(parse func(spec.Source) ([]spec.Group, hcl.Diagnostics)) *Store {
	s.parse = parse
	return s
}
