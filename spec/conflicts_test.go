package spec

import (
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
