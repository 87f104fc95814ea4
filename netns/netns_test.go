package netns_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/netns"
)

func TestLinkName(t *testing.T) {
	group := rapid.StringMatching(`[a-z0-9-]{1,40}`)
	rapid.Check(t, func(t *rapid.T) {
		a, b := group.Draw(t, "a"), group.Draw(t, "b")
		x, y := netns.LinkName("/run/"+a), netns.LinkName("/run/"+b)
		if len(x) > 15 || !strings.HasPrefix(x, "sp-") || strings.ContainsAny(x, " /") {
			t.Fatalf("%q is no name for a link", x)
		}
		if x != netns.LinkName("/run/"+a) {
			t.Fatal("the same path has two names")
		}
		if x == y && a != b {
			t.Fatalf("%q and %q have one name", a, b)
		}
	})
	if netns.LinkName("/run/a") != netns.LinkName("/run//a/") {
		t.Error("one path written twice has two names")
	}
}

func TestApplyRefuses(t *testing.T) {
	a := []netip.Addr{netip.MustParseAddr("192.0.2.1")}
	for name, c := range map[string]netns.Config{
		"relative path": {Path: "netns/x"},
		"no path":       {},
	} {
		if err := netns.Apply(c); err == nil {
			t.Errorf("%s: was applied", name)
		}
	}
	for name, l := range map[string]netns.Link{
		"no name":         {Host: a, Group: a},
		"long name":       {Name: "sp-0123456789abc", Host: a, Group: a},
		"no address":      {Name: "sp-a"},
		"half an address": {Name: "sp-a", Host: a},
	} {
		if err := l.Validate(); err == nil {
			t.Errorf("link with %s: is valid", name)
		}
	}
}

func TestOpenWhatIsNoPin(t *testing.T) {
	file := t.TempDir() + "/x"
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, file + "y", file + "/below"} {
		if _, err := netns.Open(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("Open(%q) = %v, want os.ErrNotExist", path, err)
		}
	}
}
