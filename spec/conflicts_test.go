package spec

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func publishing(name string, publish ...Publish) Group {
	return Group{
		Name:       name,
		Containers: []Container{{Name: "p", Role: Ambassador, Publish: publish}},
		Pos:        Pos{File: name + ".hcl", Line: 3, Column: 1},
	}
}

func TestConflicts(t *testing.T) {
	tcp := Publish{Name: "tcp", Host: 443, Port: 1, Protocol: "tcp"}
	udp := Publish{Name: "udp", Host: 443, Port: 1, Protocol: "udp"}
	on := func(address string) Publish {
		return Publish{Name: "on", Address: address, Host: 443, Port: 1, Protocol: "tcp"}
	}
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
