package oci

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/spec"
)

// A limit of the file that the host can't give has a line. A default that is lowered has none.
func TestLowered(t *testing.T) {
	h := HostFacts{Highest: map[string]uint64{"nofile": 20_000, "memlock": 8 << 20, "core": 0}}
	for _, tt := range []struct {
		name string
		own  []spec.Ulimit
		want []string
	}{
		{"defaults alone", nil, nil},
		{"as much as there is", []spec.Ulimit{{Name: "nofile", Soft: 20_000, Hard: 20_000}}, nil},
		{"more", []spec.Ulimit{{Name: "nofile", Soft: 1024, Hard: 65_536}}, []string{"nofile is 20000, and the file has 65536"}},
		{"everything", []spec.Ulimit{{Name: "memlock", Soft: spec.Unlimited, Hard: spec.Unlimited}}, []string{"memlock is 8MiB, and the file has unlimited"}},
		{"of what the host does not bound", []spec.Ulimit{{Name: "stack", Soft: spec.Unlimited, Hard: spec.Unlimited}}, nil},
	} {
		if diff := cmp.Diff(tt.want, Lowered(spec.Container{Ulimits: tt.own}, h)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
