package egress

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// To recognise an attached program, it is not loaded a second time.
func TestRootProgramsAreRecognisedUnloaded(t *testing.T) {
	netnstest.Root(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	root := netnstest.CgroupRoot()
	c, err := h.Make(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Remove(root); err != nil {
			t.Error(err)
		}
	})
	dir, err := os.Open(filepath.Join(h.V2, root))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	all := blueprints(netns.PortsOf(1, 443, 8080, 8081))
	other := blueprints(netns.PortsOf(1, 443, 8080))
	apart, err := separations(c)
	if err == nil {
		err = separate(h, root)
	}
	if err != nil {
		t.Logf("this kernel can't separate: %v", err)
	} else {
		all, other = append(all, apart...), append(other, make([]blueprint, len(apart))...)
	}
	for i, b := range all {
		if err := attach(dir, b); err != nil {
			t.Fatal(err)
		}
		loaded := errors.New("loaded")
		b.load = func() (program, error) { return program{}, loaded }
		if ok, err := attached(dir, b); !ok || err != nil {
			t.Errorf("program %d at %v is attached: %v, %v", i, b.hook, ok, err)
		}
		if err := attach(dir, b); err != nil {
			t.Errorf("program %d at %v, attached again: %v", i, b.hook, err)
		}
		// Control: the answer no is certain only after the program was loaded.
		unlike := other[i]
		if unlike.load == nil || unlike.hook == directions[0] || unlike.hook == directions[1] {
			continue
		}
		if ok, err := attached(dir, unlike); ok || err != nil {
			t.Errorf("another program at %v is attached: %v, %v", b.hook, ok, err)
		}
		unlike.load = b.load
		if _, err := attached(dir, unlike); !errors.Is(err, loaded) {
			t.Errorf("another program at %v is known unloaded: %v", b.hook, err)
		}
	}
}
