package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		name  string
		in    instance
		paths paths
		want  layout.Layout
	}{
		{"defaults", instance{}, paths{}, layout.Layout{
			RunDir: "/run/sallyport", StateDir: "/var/lib/sallyport", LogDir: "/var/log/sallyport", GroupsDir: "/etc/sallyport/groups.d",
			CgroupRoot: "/sallyport", Table: "sallyport", Namespace: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64",
		}},
		{"a root", instance{Root: "/srv/two"}, paths{}, layout.Layout{
			RunDir: "/srv/two/run", StateDir: "/srv/two/state", LogDir: "/srv/two/log", GroupsDir: "/srv/two/groups.d",
			CgroupRoot: "/sallyport-f76b606b", Table: "sallyport-f76b606b", Namespace: "sallyport-f76b606b",
			Prefix4: "10.217.96.0/20", Prefix6: "fd5a:11e0:9027:616b::/64",
		}},
		{"a flag beats the root", instance{Root: "/srv/two", RunDir: "/run/x"}, paths{Table: "t", Prefix4: "10.9.0.0/16", LogDir: "/l"}, layout.Layout{
			RunDir: "/run/x", StateDir: "/srv/two/state", LogDir: "/l", GroupsDir: "/srv/two/groups.d",
			CgroupRoot: "/sallyport-f76b606b", Table: "t", Namespace: "sallyport-f76b606b", Prefix4: "10.9.0.0/16", Prefix6: "fd5a:11e0:9027:616b::/64",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := c.in.layout(c.paths)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// Every root has its own table and addresses, and none has the default's.
func TestLayoutsApart(t *testing.T) {
	seen := map[string]string{"sallyport": "the default"}
	main4, main6 := netip.MustParsePrefix("10.209.0.0/16"), netip.MustParsePrefix("fd5a:11e0:9027::/64")
	for i := range 50 {
		root := "/tmp/" + strings.Repeat("x", i+1)
		l, err := (&instance{Root: root}).layout(paths{})
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[l.Table]; ok {
			t.Errorf("%s has the table of %s", root, other)
		}
		seen[l.Table] = root
		for _, text := range []string{l.Prefix4, l.Prefix6} {
			prefix, err := netip.ParsePrefix(text)
			if err != nil || prefix != prefix.Masked() || prefix.Overlaps(main4) || prefix.Overlaps(main6) {
				t.Errorf("%s has the prefix %s: %v", root, text, err)
			}
		}
	}
}

func TestLayoutIsAbsolute(t *testing.T) {
	t.Chdir("/")
	l, err := (&instance{Root: "tmp/x"}).layout(paths{StateDir: "state"})
	if err != nil {
		t.Fatal(err)
	}
	if l.RunDir != "/tmp/x/run" || l.StateDir != "/state" {
		t.Errorf("got %+v", l)
	}
}

// The hint of an unreachable daemon fits the user and the instance.
func TestExplainAddress(t *testing.T) {
	denied := &configuration{err: fmt.Errorf("read x.hcl: %w", fs.ErrPermission)}
	broken := &configuration{err: errors.New("read x.hcl: it is a folder")}
	refused := &hint.Error{Err: errors.New("admits only root"), Hint: "sudo"}
	absent := &hint.Error{Err: fmt.Errorf("%w at s", api.ErrNoDaemon), Hint: "daemon or systemctl"}
	const mend = "mend the configuration, or name the folder with --run-dir"
	for _, tt := range []struct {
		name           string
		in             instance
		err            error
		text, wantHint string
	}{
		{"as it is", instance{conf: &configuration{}}, absent, "no daemon answers at s", "daemon or systemctl"},
		{"not root, in a folder of root's", instance{Root: "/root/x", conf: denied}, refused, "admits only root", "sudo"},
		{"no daemon, in a folder of root's", instance{Root: "/root/x", conf: denied}, absent,
			"no daemon answers at s; its run folder is unknown: read x.hcl: permission denied", "run it again with sudo"},
		{"a broken file", instance{conf: broken}, refused, "admits only root; its run folder is unknown: read x.hcl: it is a folder", mend},
		{"a root is no service", instance{Root: "x", conf: &configuration{}}, absent, "no daemon answers at s", `start it: "sallyport daemon" as root`},
	} {
		got := tt.in.explainAddress(tt.err)
		if got.Error() != tt.text || hintOf(got) != tt.wantHint {
			t.Errorf("%s: got %v, hint %q", tt.name, got, hintOf(got))
		}
	}
}
