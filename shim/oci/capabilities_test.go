package oci

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/spec"
)

func TestWaysOutAreRefused(t *testing.T) {
	waysOut := []string{
		"BPF", "CHECKPOINT_RESTORE", "DAC_READ_SEARCH", "MAC_ADMIN", "MAC_OVERRIDE", "MKNOD", "NET_ADMIN", "NET_BROADCAST", "NET_RAW", "PERFMON",
		"SYSLOG", "SYS_ADMIN", "SYS_BOOT", "SYS_MODULE", "SYS_PTRACE", "SYS_RAWIO", "SYS_TIME", "FROM_A_LATER_KERNEL",
	}
	for _, name := range waysOut {
		for _, role := range []spec.Role{spec.Ambassador, spec.Init, spec.Sidecar, spec.App} {
			if _, err := createCapabilities(spec.Container{Role: role, Capabilities: []string{name}}, false); err == nil {
				t.Errorf("%s was granted to an %s", name, role)
			}
			_, err := createCapabilities(spec.Container{Role: role, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{name}}}}, false)
			if mayHave := role == spec.Ambassador && slices.Contains(spec.UnsafeCapabilities(), name); (err == nil) != mayHave {
				t.Errorf("%s as unsafe to an %s: %v, granted should be %v", name, role, err, mayHave)
			}
		}
		for _, granted := range spec.DefaultCapabilities {
			if granted == name {
				t.Errorf("%s is in the default set", name)
			}
		}
	}
	if _, err := createCapabilities(spec.Container{Role: spec.Ambassador, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: []string{"CHOWN"}}}}, false); err == nil {
		t.Error("an unsafe block is no second list of capabilities")
	}
}

// A capability set reaches a program only as root, or if the file asked for it.
func TestCreateCapabilities(t *testing.T) {
	chown, raw := []string{"CAP_CHOWN"}, []string{"CAP_NET_RAW"}
	both := []string{"CAP_CHOWN", "CAP_NET_RAW"}
	all := capabilitySet(slices.Concat(spec.DefaultCapabilities, []string{"NET_RAW"}))
	tests := []struct {
		name          string
		names, unsafe []string
		other         bool
		want          specs.LinuxCapabilities
	}{
		{"root, own set", []string{"CHOWN"}, nil, false, specs.LinuxCapabilities{Bounding: chown, Permitted: chown, Effective: chown}},
		{"other user, own set", []string{"CHOWN"}, nil, true, specs.LinuxCapabilities{Bounding: chown, Permitted: chown, Effective: chown, Inheritable: chown, Ambient: chown}},
		{"root, empty set", []string{}, nil, false, specs.LinuxCapabilities{Bounding: []string{}, Permitted: []string{}, Effective: []string{}}},
		{"root, own set, unsafe", []string{"CHOWN"}, []string{"NET_RAW"}, false, specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both}},
		{"root, default set, unsafe", nil, []string{"NET_RAW"}, false, specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}},
		{"other user, own set, unsafe", []string{"CHOWN"}, []string{"NET_RAW"}, true, specs.LinuxCapabilities{Bounding: both, Permitted: both, Effective: both, Inheritable: both, Ambient: both}},
		{"other user, default set, unsafe", nil, []string{"NET_RAW"}, true, specs.LinuxCapabilities{Bounding: all, Permitted: raw, Effective: raw, Inheritable: raw, Ambient: raw}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := createCapabilities(spec.Container{Role: spec.Ambassador, Capabilities: tt.names, Door: spec.Door{Unsafe: spec.Unsafe{Capabilities: tt.unsafe}}}, tt.other)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	got, err := createCapabilities(spec.Container{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if got.Permitted != nil || got.Ambient != nil || len(got.Bounding) != len(spec.DefaultCapabilities) {
		t.Errorf("default set of another user: %+v, want it in the bounding set alone", got)
	}
}
