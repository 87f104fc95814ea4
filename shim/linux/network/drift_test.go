package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSightings(t *testing.T) {
	good := mark{known: true, on: true, print: 7}
	other := mark{known: true, on: true, print: 8}
	off := mark{known: true, print: 7}
	foreign := mark{on: true, print: 7} // rules that nobody knows
	blind := mark{err: "no such namespace"}
	for _, tt := range []struct {
		name string
		see  []mark
		want []bool
	}{
		{"at rest", []mark{good, good}, []bool{false, false}},
		{"changed, put back", []mark{off, good, good}, []bool{true, false, false}},
		{"changed, put back and changed again in between", []mark{off, off, good}, []bool{true, true, false}},
		{"as it is to be now", []mark{other, other, other, other, other, good}, []bool{true, true, true, false, false, true}},
		{"rules changed and looked at", []mark{foreign, good}, []bool{true, false}},
		{"can't be looked at", []mark{blind, blind, blind, blind, good}, []bool{true, true, true, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &sightings{}
			for range restTimes {
				s.see(good)
			}
			var got []bool
			for _, m := range tt.see {
				got = append(got, s.see(m))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}
