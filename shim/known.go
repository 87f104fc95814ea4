package shim

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
)

// Known returns the last good definitions, by name, as they are on disk. It changes nothing, and needs no daemon.
func (s *Store) Known() ([]Wanted, error) {
	known, err := s.known()
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // no daemon has been here
	}
	var all []Wanted
	for _, name := range slices.Sorted(maps.Keys(known)) {
		all = append(all, known[name])
	}
	return all, err
}
