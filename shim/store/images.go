package store

import (
	"slices"

	"github.com/sallyport/sallyport/shim/group"
)

// Pin adds digests to a generation, if it is still the newest. It keeps those that the generation
// has.
func (s *Store) Pin(group string, number int, p group.ImageDigests) error {
	w, err := s.readWantedFile(group)
	if err != nil || w.Generation != number {
		return err
	}
	all, err := s.history(group, w)
	if err != nil {
		return err
	}
	w.Pins = w.Pins.Merge(&w.Group, p)
	if len(all) > 0 && all[0].Number == number {
		all[0].ImageDigests = all[0].ImageDigests.Merge(&w.Group, p)
		w.Record = &all[0]
	}
	return s.writeJSON(s.wantedPath(group), w, whole)
}

// DigestsAt returns the digests of a generation. They are nil if it is unknown.
func (s *Store) DigestsAt(name string, number int) (group.ImageDigests, error) {
	return s.newestDigests(name, func(g group.Generation) bool { return g.Number == number })
}

// DigestsWith returns the digests of the newest generation with that definition. They are nil if
// there is none.
func (s *Store) DigestsWith(name, digest string) (group.ImageDigests, error) {
	return s.newestDigests(name, func(g group.Generation) bool { return g.Digest == digest })
}

// newestDigests returns the digests of the newest generation that matches.
func (s *Store) newestDigests(name string, matches func(group.Generation) bool) (group.ImageDigests, error) {
	all, err := s.History(name)
	if i := slices.IndexFunc(all, matches); i >= 0 {
		return all[i].ImageDigests, err
	}
	return nil, err
}

// digestsIn returns the digests of all groups that a file is known to define.
func (s *Store) digestsIn(file string) (map[string]group.ImageDigests, error) {
	known, err := s.mend()
	out := map[string]group.ImageDigests{}
	for name, w := range known {
		if w.File == file && w.Pins != nil {
			out[name] = w.Pins
		}
	}
	return out, err
}
