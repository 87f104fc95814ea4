package shim

import "errors"

// Pin adds digests to a generation, if it is still the newest. It keeps those that the generation
// has.
func (s *Store) Pin(group string, number int, p ImageDigests) error {
	all, err := s.History(group)
	if err != nil {
		return err
	}
	w, err := readJSON[Wanted](s.wantedPath(group))
	if err != nil || w.Generation != number {
		return err
	}
	if len(all) > 0 && all[0].Number == number {
		all[0].Pins = all[0].Pins.merge(&w.Group, p)
		err = s.writeJSON(s.historyPath(group), all)
	}
	w.Pins = w.Pins.merge(&w.Group, p)
	return errors.Join(err, s.writeJSON(s.wantedPath(group), w))
}

// digestsAt returns the digests of a generation. They are nil if it is unknown.
func (s *Store) digestsAt(group string, number int) (ImageDigests, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Number == number {
			return g.Pins, err
		}
	}
	return nil, err
}

// digestsWith returns the digests of the newest generation with that definition.
func (s *Store) digestsWith(group, digest string) (ImageDigests, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Digest == digest {
			return g.Pins, err
		}
	}
	return nil, err
}

// digestsIn returns the digests of all groups that a file is known to define.
func (s *Store) digestsIn(file string) (map[string]ImageDigests, error) {
	known, err := s.known()
	out := map[string]ImageDigests{}
	for name, w := range known {
		if w.File == file && w.Pins != nil {
			out[name] = w.Pins
		}
	}
	return out, err
}
