package ctrd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/hint"
)

// fromRegistry is the kind of an image that no file or folder of the host has.
const fromRegistry archive.Kind = 0

// A source is the meaning of a group file's `image`.
type source struct {
	kind archive.Kind
	ref  string // as the group file has it
	name string // of a registry's image: complete, with host and tag or digest
	host string // of a registry's image
	path string // of an archive or folder, with the name of the image in it if there is one
}

// parseSource completes a registry's reference as docker does: "busybox" is
// docker.io/library/busybox:latest. Operators expect that.
func parseSource(ref string) (source, error) {
	for prefix, kind := range archive.Kinds {
		path, ok := strings.CutPrefix(ref, prefix)
		if !ok {
			continue
		}
		if !filepath.IsAbs(path) {
			return source{}, fmt.Errorf("image %s: the archive's path is not absolute", ref)
		}
		return source{kind: kind, ref: ref, path: filepath.Clean(path)}, nil
	}
	named, err := reference.ParseDockerRef(ref)
	if err != nil {
		return source{}, &hint.Error{
			Err:  fmt.Errorf("image %q: %w", ref, err),
			Hint: `write "registry.example/name:tag", "oci-archive:/path.tar" or "docker-archive:/path.tar"`,
		}
	}
	return source{kind: fromRegistry, ref: ref, name: named.String(), host: reference.Domain(named)}, nil
}
