package ctrd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
)

func TestParseSource(t *testing.T) {
	const id = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	for _, tt := range []struct {
		name, ref string
		want      source
		bad       bool
	}{
		{name: "docker hub's official", ref: "busybox", want: source{name: "docker.io/library/busybox:latest", host: "docker.io"}},
		{name: "tag", ref: "busybox:1", want: source{name: "docker.io/library/busybox:1", host: "docker.io"}},
		{name: "docker hub's user", ref: "me/app:1", want: source{name: "docker.io/me/app:1", host: "docker.io"}},
		{name: "registry", ref: "registry.example/a/b:1.4", want: source{name: "registry.example/a/b:1.4", host: "registry.example"}},
		{name: "port", ref: "localhost:5000/b", want: source{name: "localhost:5000/b:latest", host: "localhost:5000"}},
		{name: "v6", ref: "[::1]:5000/b:2", want: source{name: "[::1]:5000/b:2", host: "[::1]:5000"}},
		{name: "digest", ref: "r.example/b@" + id, want: source{name: "r.example/b@" + id, host: "r.example"}},
		{name: "tag and digest", ref: "r.example/b:1@" + id, want: source{name: "r.example/b@" + id, host: "r.example"}},
		{name: "oci archive", ref: "oci-archive:/a/../b.tar", want: source{kind: archive.OCI, path: "/b.tar"}},
		{name: "docker archive", ref: "docker-archive:/a b.tar", want: source{kind: archive.Docker, path: "/a b.tar"}},
		{name: "name in an archive", ref: "docker-archive:/b.tar:registry.example:5000/app:1", want: source{kind: archive.Docker, path: "/b.tar:registry.example:5000/app:1"}},
		{name: "oci folder", ref: "oci:/b/", want: source{kind: archive.OCIFolder, path: "/b"}},
		{name: "relative archive", ref: "oci-archive:b.tar", bad: true},
		{name: "empty", ref: "", bad: true},
		{name: "capitals", ref: "Busybox", bad: true},
		{name: "space", ref: "busy box", bad: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSource(tt.ref)
			if tt.bad {
				if err == nil {
					t.Errorf("parsed as %+v", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			tt.want.ref = tt.ref
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(source{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
