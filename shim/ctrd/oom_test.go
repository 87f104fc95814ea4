package ctrd

import (
	"testing"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/types/known/anypb"
)

// The record of a container that an older daemon made has another cgroup than the layout.
func TestCgroupPathOfARecord(t *testing.T) {
	older, err := typeurl.MarshalAny(&specs.Spec{Version: "1.0.2", Linux: &specs.Linux{CgroupsPath: "/sallyport/g/members/web"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		spec typeurl.Any
		want string
	}{
		{"an older daemon's", older, "/sallyport/g/members/web"},
		{"without a spec", nil, ""},
		{"damaged", &anypb.Any{Value: []byte(`{"linux": {"cgroupsPath": 7`)}, ""},
		{"without a cgroup", &anypb.Any{Value: []byte(`{}`)}, ""},
	} {
		if got := cgroupPath(containers.Container{Spec: tt.spec}); got != tt.want {
			t.Errorf("%s: cgroup %q, want %q", tt.name, got, tt.want)
		}
	}
}
