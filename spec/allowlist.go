package spec

import (
	"encoding/json"
	"slices"
)

// An AllowList has the destinations to which an ambassador may open flows. A nil list means
// anywhere but to metadata, the host and other groups. An empty list that is not nil means nowhere:
// the ambassador answers at its published ports and opens no flow.
//
// In JSON the empty list has one destination, [nowhere]. A daemon from before November 2026 takes a
// list without elements for none, and would let the ambassador go anywhere. It enforces this one
// as it is.
type AllowList []Allow

// nowhere stands for the empty list in JSON. No packet has this destination (RFC 1122, section
// 3.2.1.3): the kernel takes it for the loopback, and routes none that comes by a link.
var nowhere = Allow{Prefix: "0.0.0.0/32", Protocol: "tcp"}

// Nowhere reports whether the list is there and names no destination.
func (l AllowList) Nowhere() bool { return l != nil && len(l) == 0 }

// MarshalJSON implements [json.Marshaler].
func (l AllowList) MarshalJSON() ([]byte, error) {
	if l.Nowhere() {
		l = AllowList{nowhere}
	}
	return json.Marshal([]Allow(l))
}

// UnmarshalJSON implements [json.Unmarshaler]. A list without elements means nowhere as well.
func (l *AllowList) UnmarshalJSON(text []byte) error {
	var all []Allow
	if err := json.Unmarshal(text, &all); err != nil {
		return err
	}
	if slices.Equal(all, []Allow{nowhere}) {
		all = []Allow{}
	}
	*l = all
	return nil
}
