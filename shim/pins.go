package shim

import "errors"

// Pin adds pins to a generation, where it is still the newest. Those it has stay.
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

// pinsAt are the pins of a generation; nil also where nobody knows it.
func (s *Store) digestsAt(group string, number int) (ImageDigests, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Number == number {
			return g.Pins, err
		}
	}
	return nil, err
}

// pinsAs are the pins of the newest generation of that digest.
func (s *Store) digestsWith(group, digest string) (ImageDigests, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Digest == digest {
			return g.Pins, err
		}
	}
	return nil, err
}

// pinsIn are the pins of all groups that a file is known to have.
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
