package ruleset_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// While another program changes its tables, ours may be unreadable. But it is never taken for
// different, because then it would be replaced.
func TestRootCompareWhileOthersChange(t *testing.T) {
	netnstest.Root(t)
	ns := netnstest.NewNamespace(t)
	var theirs strings.Builder // so many chains that a list of all takes more than one message
	theirs.WriteString("add table inet aaa\n")
	for i := range 400 {
		fmt.Fprintf(&theirs, "add chain inet aaa c%d\nadd counter inet aaa n%d\n", i, i)
	}
	netnstest.NFT(t, ns, theirs.String(), "-f", "-")
	table := counting(3, time.Hour)
	for i := range 100 {
		table.Chains = append(table.Chains, ruleset.Chain{Name: fmt.Sprint("more", i)})
		table.Counters = append(table.Counters, fmt.Sprint("n", i))
	}
	conn := open(t, ns)
	if _, err := ruleset.Apply(conn, table); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		other, err := ruleset.Open(int(ns.Fd()))
		if err != nil {
			t.Error(err)
			return
		}
		defer other.Close()
		aaa := &nftables.Table{Name: "aaa", Family: nftables.TableFamilyINet}
		for deleted := true; ; deleted = !deleted {
			select {
			case <-stop:
				return
			default:
			}
			for i := range 200 {
				c := &nftables.Chain{Name: fmt.Sprint("c", i), Table: aaa}
				if deleted {
					other.DelChain(c)
				} else {
					other.AddChain(c)
				}
			}
			if err := other.Flush(); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	wrong, unreadable, n := 0, 0, 0
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); n++ {
		switch ok, err := ruleset.Matches(conn, table); {
		case err != nil:
			unreadable++
		case !ok:
			wrong++
		}
	}
	close(stop)
	<-done
	t.Logf("of %d: %d unreadable", n, unreadable)
	if wrong > 0 {
		t.Errorf("%d times of %d the table was taken for different", wrong, n)
	}
}
