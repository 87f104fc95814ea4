package uplink

import (
	"errors"
	"os/exec"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// A change of another table does not count. A change of our table is seen.
func TestRootUnchanged(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	one, two := entries()
	for _, tt := range []struct {
		name, command string
		known         bool
	}{
		{"nothing", "", true},
		{"another's table", "add table inet theirs; delete table inet theirs", true},
		{"an entry's address", "delete element inet sallyport source4 { \"sp-one\" . 10.209.0.1 }", false},
		{"a published port", "flush map inet sallyport publish4", false},
		{"a rule", "insert rule inet sallyport from_groups accept", false},
		{"everything", "flush ruleset", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			put(t, u, one, two)
			if known, _, err := u.Unchanged(); err != nil || !known {
				t.Fatalf("known before: %v, %v", known, err)
			}
			if tt.command != "" {
				if out, err := exec.Command("nft", tt.command).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			if known, _, err := u.Unchanged(); err != nil || known != tt.known {
				t.Errorf("known: %v, %v; want %v", known, err, tt.known)
			}
		})
	}
	drop(t, u)
}

// A change of entries by others is reported once, also if a method for another entry has read the
// table since. Our own changes are not, also if others change their tables meanwhile.
func TestRootUnchangedAfterAReader(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, two := entries()
	other := two
	other.Allow = nil
	readers := map[string]func() error{
		"Ensure":     u.Ensure,
		"InForce":    func() error { _, err := u.InForce(two); return err },
		"Put":        func() error { return u.Put(two) },
		"Put others": func() error { return errors.Join(u.Put(other), u.Put(two)) },
		"Sources":    func() error { _, err := u.Sources(); return err },
		"Delete":     func() error { return errors.Join(u.Delete(two.Link), u.Put(two)) },
	}
	for _, tt := range []struct {
		name, command string
		want          bool
	}{
		{"another's table", "add table inet theirs; delete table inet theirs", true},
		{"an entry's address", "delete element inet sallyport source4 { \"sp-one\" . 10.209.0.1 }", false},
		{"an address more", "add element inet sallyport source4 { \"sp-one\" . 10.209.0.9 }", false},
		{"a published port", "flush map inet sallyport publish4", false},
	} {
		for name, read := range readers {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				put(t, u, one, two)
				if known, _, err := u.Unchanged(); err != nil || !known {
					t.Fatalf("known before: %v, %v", known, err)
				}
				if out, err := exec.Command("nft", tt.command).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				if err := read(); err != nil {
					t.Fatal(err)
				}
				for i, want := range []bool{tt.want, true} {
					if known, _, err := u.Unchanged(); err != nil || known != want {
						t.Errorf("call %d: known: %v, %v; want %v", i+1, known, err, want)
					}
				}
			})
		}
	}
}

// What the last entry leaves is nothing that others have changed.
func TestRootUnchangedAfterTheLastEntry(t *testing.T) {
	netnstest.Root(t)
	u := newUplink(t, "sallyport")
	defer drop(t, u)
	one, _ := entries()
	for range 2 {
		put(t, u, one)
		if known, _, err := u.Unchanged(); err != nil || !known {
			t.Errorf("known: %v, %v", known, err)
		}
		if err := u.Delete(one.Link); err != nil {
			t.Fatal(err)
		}
	}
}
