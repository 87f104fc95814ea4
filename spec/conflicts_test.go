package spec

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func publishing(name string, publish ...Publish) Group {
	return Group{
		Name:       name,
		Containers: []Container{{Name: "p", Role: Ambassador, Door: Door{Publish: publish}}},
		Pos:        Pos{File: name + ".hcl", Line: 3, Column: 1},
	}
}

func TestConflicts(t *testing.T) {
	tcp := Publish{Name: "tcp", Host: 443, Port: 1, Protocol: "tcp"}
	udp := Publish{Name: "udp", Host: 443, Port: 1, Protocol: "udp"}
	on := func(address string) Publish {
		return Publish{Name: "on", Address: address, Host: 443, Port: 1, Protocol: "tcp"}
	}
	mounting := func(name, folder string, role Role, egress Egress, readOnly bool) Group {
		return Group{
			Name: name, Egress: egress, Pos: Pos{File: name + ".hcl", Line: 3, Column: 1}, Volumes: []Volume{{Name: "v", HostPath: folder}},
			Containers: []Container{{Name: "c", Role: role, Mounts: []Mount{{Volume: "v", ReadOnly: readOnly}}}},
		}
	}
	shared := func(folder string) []string {
		return []string{`b.hcl:3,1-1: Groups share a folder of the host; c of group "b" and c of group "a" both have ` + folder + `. Through it one of them, which may leave its group, could hand the other a socket of its own (SCM_RIGHTS). Give each a folder of its own, or mount it read_only in both, unless you trust their programs not to.`}
	}
	door, member := mounting("a", "/srv/x", Ambassador, EgressAmbassador, false), mounting("b", "/srv/x", App, EgressNone, true)
	twice := "Port 443/tcp of the host, which publish "
	tests := []struct {
		name   string
		groups []Group
		want   []string
	}{
		{"nothing", nil, nil},
		{"no ambassador", []Group{{Name: "a"}, {Name: "b"}}, nil},
		{"other protocols", []Group{publishing("a", tcp), publishing("b", udp)}, nil},
		{"other addresses", []Group{publishing("a", on("192.0.2.1")), publishing("b", on("192.0.2.2"))}, nil},
		{"same port", []Group{publishing("a", tcp), publishing("b", tcp)}, []string{
			`b.hcl:3,1-1: Host port used twice; ` + twice + `"tcp" of group "b" asks for, belongs to group "a" (a.hcl:3:1). Choose another port, or another address.`,
		}},
		{"all addresses and one", []Group{publishing("a", on("192.0.2.1")), publishing("b", tcp)}, []string{
			`b.hcl:3,1-1: Host port used twice; ` + twice + `"tcp" of group "b" asks for, belongs to group "a" (a.hcl:3:1). Choose another port, or another address.`,
		}},
		{"same name", []Group{publishing("a", tcp), publishing("a", tcp)}, []string{
			`a.hcl:3,1-1: Duplicate group; There is already a group "a", at a.hcl:3:1. Give one of the two another name, or remove it.`,
		}},
		{"a folder of an ambassador and a member", []Group{door, member}, shared("/srv/x")},
		{"a folder in a member's", []Group{door, mounting("b", "/srv", App, EgressAmbassador, true)}, shared("/srv")},
		{"a folder of an open group", []Group{mounting("a", "/srv/x", App, EgressDirect, true), mounting("b", "/srv/x/y", Sidecar, EgressNone, false)}, shared("/srv/x/y")},
		{"a folder that is read only", []Group{mounting("a", "/srv/x", Ambassador, EgressAmbassador, true), member}, nil},
		{"a folder beside", []Group{door, mounting("b", "/srv/xy", App, EgressNone, false)}, nil},
		{"a folder of members", []Group{mounting("a", "/srv/x", App, EgressAmbassador, false), member}, nil},
		{"a folder of ambassadors", []Group{door, mounting("b", "/srv/x", Ambassador, EgressAmbassador, false)}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, texts(Conflicts(tt.groups))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestConflictsShowTheLine(t *testing.T) {
	src := source("b.hcl", "# one\n# two\ngroup \"b\" {\n}\n")
	got := printed(t, src, Conflicts([]Group{publishing("b"), publishing("b")}))
	want := `Error: Duplicate group
  b.hcl:3:1
     3 | group "b" {
      | ^
  There is already a group "b", at b.hcl:3:1. Give one of the two another name, or remove it.

`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The index finds what a comparison of each group with each other one finds.
func TestIndexFindsWhatAComparisonOfAllFinds(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	random := func(n int) Group {
		g := publishing(fmt.Sprintf("g%d", n))
		if rnd.IntN(8) == 0 {
			g.Name = fmt.Sprintf("g%d", rnd.IntN(n+1))
		}
		for range rnd.IntN(3) {
			p := Publish{Name: "p", Address: pick("", "192.0.2.1", "192.0.2.2"), Host: uint16(rnd.IntN(6)), Protocol: pick("tcp", "udp")}
			g.Containers[0].Publish = append(g.Containers[0].Publish, p)
		}
		for range rnd.IntN(2) {
			g.Volumes = []Volume{{Name: "v", HostPath: pick("/srv", "/srv/a", "/srv/a/b", "/srv/c", "/data", "/srvx")}}
			g.Containers = append(g.Containers, Container{Name: "c", Role: App, Mounts: []Mount{{Volume: "v", ReadOnly: rnd.IntN(2) == 0}}})
			g.Containers[0].Mounts = []Mount{{Volume: "v", ReadOnly: rnd.IntN(2) == 0}}[:rnd.IntN(2)]
		}
		return g
	}
	found := 0
	for range 2000 {
		var there, more []Group
		for n := range rnd.IntN(6) {
			if g := random(n); len(comparedWithAll(there, []Group{g})) == 0 {
				there = append(there, g)
			}
		}
		for n := range rnd.IntN(4) {
			more = append(more, random(n+3))
		}
		gone := func(name string) bool { return name == "g1" || name == "g4" }
		var x Index
		x.Add(there)
		left := slices.DeleteFunc(slices.Clone(there), func(g Group) bool { return gone(g.Name) })
		for _, tt := range []struct{ want, got []string }{
			{comparedWithAll(there, more), texts(x.Conflicts(more, nil))},
			{comparedWithAll(left, more), texts(x.Conflicts(more, gone))},
			{comparedWithAll(nil, more), texts(Conflicts(more))},
		} {
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			found += len(tt.want)
		}
	}
	if found < 1000 {
		t.Errorf("only %d conflicts", found)
	}
}

// comparedWithAll returns the conflicts of each of the further groups with those before it.
func comparedWithAll(there, more []Group) []string {
	rep := &report{}
	var claiming []*Group
	for i := range there {
		claiming = append(claiming, &there[i])
	}
next:
	for i := range more {
		g := &more[i]
		for _, o := range claiming {
			if o.Name == g.Name {
				rep.errorf(g.Pos.rangeIn(), "Duplicate group", "There is already a group %q, at %s. Give one of the two another name, or remove it.", g.Name, o.Pos)
				continue next
			}
		}
		for _, p := range g.Door().Publish {
			n := slices.IndexFunc(claiming, func(o *Group) bool { return slices.ContainsFunc(o.Door().Publish, p.overlaps) })
			if n >= 0 {
				rep.errorf(g.Pos.rangeIn(), "Host port used twice", "Port %d/%s of the host, which publish %q of group %q asks for, belongs to group %q (%s). Choose another port, or another address.", p.Host, p.Protocol, p.Name, g.Name, claiming[n].Name, claiming[n].Pos)
			}
		}
		claiming = append(claiming, g)
	}
	all := slices.Concat(there, more)
	for i := len(there); i < len(all); i++ {
		rep.warnOfFirst(all[:i], &all[i])
	}
	return texts(rep.diags)
}

func (r *report) warnOfFirst(before []Group, g *Group) {
	for _, a := range g.sharedFolders() {
		for i := range before {
			for _, b := range before[i].sharedFolders() {
				if a.group.Name != b.group.Name && a.leaves() != b.leaves() && !(a.readOnly && b.readOnly) && (within(a.path, b.path) || within(b.path, a.path)) {
					r.warnf(a.group.Pos.rangeIn(), "Groups share a folder of the host", "%s of group %q and %s of group %q both have %s. Through it one of them, which may leave its group, could hand the other a socket of its own (SCM_RIGHTS). Give each a folder of its own, or mount it read_only in both, unless you trust their programs not to.",
						a.container.Name, a.group.Name, b.container.Name, b.group.Name, a.path)
					return
				}
			}
		}
	}
}
