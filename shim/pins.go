package shim

import (
	"errors"

	"github.com/sallyport/sallyport/spec"
)

// Pins are what the image references of a group mean to one generation of it: by reference, the digest of a manifest or index. An
// apply pins them all, to what they mean on the host by then. What an edit by hand brings along is pinned as soon as a container has
// been made from it; until then, a reference that is not among them means whatever it does on the host.
type Pins map[string]string

// pinsOf are the pins that resolved images come to.
func pinsOf(images map[string]Image) Pins {
	p := Pins{}
	for ref, i := range images {
		p[ref] = i.Digest
	}
	return p
}

// of are the pins of a group that come from two places: what p says of a reference, and else what other does. nil: none.
func (p Pins) of(g *spec.Group, other Pins) Pins {
	var out Pins
	for i := range g.Containers {
		ref := g.Containers[i].Image
		digest, ok := p[ref]
		if !ok {
			digest, ok = other[ref]
		}
		if ok {
			if out == nil {
				out = Pins{}
			}
			out[ref] = digest
		}
	}
	return out
}

// differ says that a reference is in both and means something else. What is not known is no difference.
func (p Pins) differ(other Pins) bool {
	for ref, digest := range p {
		if o, ok := other[ref]; ok && o != digest {
			return true
		}
	}
	return false
}

// seen are the pins of what containers have been made from, as far as the generation has none. A reference of which two of them
// know a different meaning, as an earlier daemon could leave them, stays without one.
func (in PlanInput) seen() Pins {
	found, torn := Pins{}, map[string]bool{}
	for i := range in.Want.Containers {
		c := &in.Want.Containers[i]
		s, ok := in.Observed.container(c.Name)
		if _, pinned := in.Pins[c.Image]; pinned || !ok || s.Digest != c.Digest || s.ImageDigest == "" {
			continue
		}
		if digest, twice := found[c.Image]; twice && digest != s.ImageDigest {
			torn[c.Image] = true
		}
		found[c.Image] = s.ImageDigest
	}
	for ref := range torn {
		delete(found, ref)
	}
	return found
}

// Pin adds pins to a generation, where it is still the newest. Those it has stay.
func (s *Store) Pin(group string, number int, p Pins) error {
	all, err := s.History(group)
	if err != nil {
		return err
	}
	w, err := readJSON[Wanted](s.wantedPath(group))
	if err != nil || w.Generation != number {
		return err
	}
	if len(all) > 0 && all[0].Number == number {
		all[0].Pins = all[0].Pins.of(&w.Group, p)
		err = s.writeJSON(s.historyPath(group), all)
	}
	w.Pins = w.Pins.of(&w.Group, p)
	return errors.Join(err, s.writeJSON(s.wantedPath(group), w))
}

// pinsAt are the pins of a generation; nil also where nobody knows it.
func (s *Store) pinsAt(group string, number int) (Pins, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Number == number {
			return g.Pins, err
		}
	}
	return nil, err
}

// pinsAs are the pins of the newest generation of that digest.
func (s *Store) pinsAs(group, digest string) (Pins, error) {
	all, err := s.History(group)
	for _, g := range all {
		if g.Digest == digest {
			return g.Pins, err
		}
	}
	return nil, err
}

// pinsIn are the pins of all groups that a file is known to have.
func (s *Store) pinsIn(file string) (map[string]Pins, error) {
	known, err := s.known()
	out := map[string]Pins{}
	for name, w := range known {
		if w.File == file && w.Pins != nil {
			out[name] = w.Pins
		}
	}
	return out, err
}
