package ruleset_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// While it reads, a batch of another process changes another table: what was read is dropped, also
// an error.
func TestRootReadIsRepeated(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	conn, other := open(t, ns), open(t, ns)
	theirs, there := &nftables.Table{Name: "theirs", Family: nftables.TableFamilyIPv4}, false
	change := func() {
		t.Helper()
		if there = !there; there {
			other.AddTable(theirs)
		} else {
			other.DelTable(theirs)
		}
		if err := other.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	boom := errors.New("boom")
	for _, tt := range []struct {
		name    string
		changed int // so often while it is read
		first   error
		then    error
		reads   int
		want    error
	}{
		{"quiet", 0, nil, nil, 1, nil},
		{"quiet, with an error", 0, boom, boom, 1, boom},
		{"one change", 1, nil, nil, 2, nil},
		{"one change, with an error", 1, boom, nil, 2, nil},
		{"one change, with an error afterwards", 1, nil, boom, 2, boom},
		{"changes without end", 1000, nil, nil, 40, netlink.ErrDumpInterrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			reads := 0
			at, err := ruleset.Read(conn, func(at ruleset.Generation) (ruleset.Generation, error) {
				if reads++; reads <= tt.changed {
					change()
				}
				if reads == 1 {
					return at, tt.first
				}
				return at, tt.then
			})
			if !errors.Is(err, tt.want) || reads != tt.reads {
				t.Errorf("%v after %d reads, want %v after %d", err, reads, tt.want, tt.reads)
			}
			if now, err := conn.Generation(); err != nil || tt.want == nil && now != at {
				t.Errorf("it was read at %v, now is %v, %v", at, now, err)
			}
		})
	}
}

// If the table is known to have no quota of that name, none is read.
func TestRootSpentOfAKnownTable(t *testing.T) {
	netnstest.Root(t)
	conn := open(t, netnstest.NewNamespace(t))
	table := ruleset.Table{Name: "t", Quotas: []ruleset.Quota{{Name: "a_9", Bytes: 9}, {Name: "b_7", Bytes: 7}}}
	if _, err := ruleset.Apply(conn, table); err != nil {
		t.Fatal(err)
	}
	want := func(prefix string, want map[string]ruleset.Expense) {
		t.Helper()
		got, err := ruleset.Spent(conn, "t", prefix)
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", prefix, err, diff)
		}
	}
	want("a_", map[string]ruleset.Expense{"a_9": {Bytes: 9}})
	want("c_", nil)
	at, err := conn.Generation()
	if err != nil {
		t.Fatal(err)
	}
	ruleset.RememberTable(at, ruleset.Table{Name: "t", Quotas: table.Quotas[1:]})
	want("a_", nil) // it is there, and would be read
	want("b_", map[string]ruleset.Expense{"b_7": {Bytes: 7}})
}
