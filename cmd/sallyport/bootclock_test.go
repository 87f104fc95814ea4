package main

import "testing"

// The clock of the boot goes on, and two readers of it have the same boot.
func TestBootClock(t *testing.T) {
	read, other := bootClock(), bootClock()
	id, up := read()
	if len(id) != 36 || up <= 0 {
		t.Fatalf("boot %q, since %s", id, up)
	}
	if again, later := other(); again != id || later < up {
		t.Errorf("boot %q since %s, and then boot %q since %s", id, up, again, later)
	}
}
