package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSightings(t *testing.T) {
	good := fingerprint{rulesKnown: true, on: true, links: 7}
	other := fingerprint{rulesKnown: true, on: true, links: 8}
	off := fingerprint{rulesKnown: true, links: 7}
	foreign := fingerprint{on: true, links: 7} // rules that nobody knows
	blind := fingerprint{err: "no such namespace"}
	for _, tt := range []struct {
		name string
		see  []fingerprint
		want []bool
	}{
		{"at rest", []fingerprint{good, good}, []bool{false, false}},
		{"changed, put back", []fingerprint{off, good, good}, []bool{true, false, false}},
		{"changed, put back and changed again in between", []fingerprint{off, off, good}, []bool{true, true, false}},
		{"as it is to be now", []fingerprint{other, other, other, other, other, good}, []bool{true, true, true, false, false, true}},
		{"rules changed and looked at", []fingerprint{foreign, good}, []bool{true, false}},
		{"can't be looked at", []fingerprint{blind, blind, blind, blind, good}, []bool{true, true, true, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &baseline{}
			for range settleAfter {
				b.update(good)
			}
			var got []bool
			for _, f := range tt.see {
				got = append(got, b.update(f))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}
