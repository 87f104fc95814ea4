package network

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBaseline(t *testing.T) {
	good := fingerprint{rulesKnown: true, on: true, links: 7}
	other := fingerprint{rulesKnown: true, on: true, links: 8}
	off := fingerprint{rulesKnown: true, links: 7}
	foreign := fingerprint{on: true, links: 7} // rules that we have not made
	unread := fingerprint{err: "no such namespace"}
	for _, tt := range []struct {
		name string
		seen []fingerprint
		want []bool
	}{
		{"settled", []fingerprint{good, good}, []bool{false, false}},
		{"changed and restored", []fingerprint{off, good, good}, []bool{true, false, false}},
		{"changed, restored and changed again in between", []fingerprint{off, off, good}, []bool{true, true, false}},
		{"changed for good", []fingerprint{other, other, other, other, other, good}, []bool{true, true, true, false, false, true}},
		{"rules changed and read", []fingerprint{foreign, good}, []bool{true, false}},
		{"can't be read", []fingerprint{unread, unread, unread, unread, good}, []bool{true, true, true, false, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &baseline{}
			for range settleAfter {
				b.update(good)
			}
			var got []bool
			for _, f := range tt.seen {
				got = append(got, b.update(f))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}
