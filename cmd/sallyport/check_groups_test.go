package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

func TestWriteResult(t *testing.T) {
	var out strings.Builder
	for _, f := range []result{
		{Name: "kernel", OK: true, Found: "6.18"},
		{Name: "resolvers", OK: true, Note: true, Found: "none", Hint: "name some"},
		{Name: "unsafe", OK: true, Note: true, Found: "g: proxy has NET_RAW"},
		{Name: "runc", Error: "not there\nat all", Hint: "install it"},
	} {
		writeResult(&out, f)
	}
	const want = `ok    kernel           6.18
note  resolvers        none
                       -> name some
note  unsafe           g: proxy has NET_RAW
FAIL  runc             not there; at all
                       -> install it
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestNoteIsNoFailure(t *testing.T) {
	c := check{name: "resolvers", run: func(context.Context) (string, error) { return "", &note{"none", "name some"} }}
	want := result{Name: "resolvers", OK: true, Note: true, Found: "none", Hint: "name some"}
	if diff := cmp.Diff(want, c.result(t.Context())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A name server of the host that no ambassador reaches without an allow list is noted.
func TestResolversText(t *testing.T) {
	public, azure := netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("168.63.129.16")
	if found, err := resolversText([]netip.Addr{public}); err != nil || found != "192.0.2.53" {
		t.Errorf("found %q, %v", found, err)
	}
	_, err := resolversText([]netip.Addr{public, azure})
	n, ok := errors.AsType[*note](err)
	if !ok || !strings.HasSuffix(n.text, "refused to ambassadors: 168.63.129.16") || n.hint == "" {
		t.Errorf("%v, want a note that names 168.63.129.16 alone as refused", err)
	}
}

// A bound that the kernel doesn't keep, or that is nearly full, is noted.
func TestBoundsFound(t *testing.T) {
	groups := []group.Status{{Name: "none"}, {Name: "g", Bounds: []host.Bound{
		{Volume: "data", Size: 100 << 20, Used: 89 << 20, Hard: true},
		{Volume: "full", Size: 100 << 20, Used: 90 << 20, Hard: true},
		{Container: "web", Size: 100 << 20, Soft: "its xfs is mounted without prjquota"},
	}}}
	want := []result{
		{Name: "bounds on disk", OK: true, Found: "g: volume data: 89MiB of 100MiB (89 %), hard"},
		{Name: "bounds on disk", OK: true, Note: true, Found: "g: volume full: 90MiB of 100MiB (90 %), hard"},
		{Name: "bounds on disk", OK: true, Note: true, Found: "g: disk of web: 0B of 100MiB (0 %), soft: its xfs is mounted without prjquota"},
	}
	if diff := cmp.Diff(want, boundsFound(groups)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// Without a daemon doctor reads what the last one stored.
func TestUnsafeResults(t *testing.T) {
	root := t.TempDir()
	in := &instance{Root: root}
	l, err := in.layout(paths{})
	if err != nil {
		t.Fatal(err)
	}
	nothing := []result{{Name: "unsafe", OK: true, Found: "no group gives anything up"}}
	if diff := cmp.Diff(nothing, unsafeResults(t.Context(), in, l)); diff != "" {
		t.Errorf("on a host that never had a daemon (-want +got)\n%s", diff)
	}
	for name, given := range map[string][]string{"plain": nil, "open": {"NET_ADMIN"}} {
		write(t, filepath.Join(l.StateDir, "wanted", name+".json"), store.Wanted{Generation: 1, Group: spec.Group{Name: name, Containers: []spec.Container{
			{Name: "proxy", Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: given}}},
		}}})
	}
	want := []result{{Name: "unsafe", OK: true, Note: true, Found: "open: proxy (ambassador) has NET_ADMIN: it can change the group's rules; what keeps members in is the fence alone"}}
	if diff := cmp.Diff(want, unsafeResults(t.Context(), in, l)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := os.WriteFile(filepath.Join(l.StateDir, "wanted", "broken.json"), []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := unsafeResults(t.Context(), in, l); len(got) != 1 || !got[0].Note || !strings.Contains(got[0].Found, "can't read") {
		t.Errorf("with a broken file in the state folder: %+v", got)
	}
}

func write(t *testing.T, path string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
