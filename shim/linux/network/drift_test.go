package network

import (
	"testing"
	"time"

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

// TestSettled checks when the fingerprint of a group counts as settled. In what observations find,
// "wrong" ends and "right" begins after the look that is named before it.
func TestSettled(t *testing.T) {
	good, other, third := fingerprint{links: 7}, fingerprint{links: 8}, fingerprint{links: 9}
	const right, wrong = "right", "wrong"
	for _, tt := range []struct {
		name  string
		seen  []fingerprint
		found map[int][]string // by look, what the observations after it have found
		want  []bool
	}{
		{"as wanted", []fingerprint{other, other, other}, map[int][]string{0: {right}}, []bool{true, false, false}},
		{"as wanted, and then otherwise", []fingerprint{other, other, good}, map[int][]string{0: {right}, 1: {right, wrong}}, []bool{true, false, true}},
		{"found before the look", []fingerprint{other, other}, map[int][]string{-1: {right}}, []bool{true, true}},
		{"repaired and changed again, always",
			[]fingerprint{other, other, other, other, other, other},
			map[int][]string{0: {wrong, right}, 1: {wrong, right}, 2: {wrong, right}, 3: {wrong, right}, 4: {wrong, right}},
			[]bool{true, true, true, true, true, true}},
		{"can't be repaired", []fingerprint{other, other, other, other}, map[int][]string{0: {wrong}, 1: {wrong}, 2: {wrong}}, []bool{true, true, true, false}},
		{"two changes", []fingerprint{other, third, third}, map[int][]string{0: {right}}, []bool{true, true, true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, now := &groupDrift{}, time.Unix(1000, 0)
			later := func() time.Time { now = now.Add(time.Second); return now }
			var found findings
			find := func(look int) {
				for _, f := range tt.found[look] {
					if f == right {
						found.right = later()
					} else {
						found.wrong = later()
					}
				}
			}
			for range settleAfter {
				g.update(good, later(), found)
			}
			find(-1)
			var got []bool
			for look, f := range tt.seen {
				got = append(got, g.update(f, later(), found))
				find(look)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
		})
	}
}
