package spec

import (
	"path"
	"strings"

	"github.com/distribution/reference"
)

// archives are the prefixes of images in a file or a folder on the host. They are imported from
// there and never pulled.
var archives = []struct{ prefix, example string }{
	{"oci-archive:", "path.tar"}, {"docker-archive:", "path.tar"}, {"oci:", "folder"},
}

// image reads a container's image. A reference stays as it is written. An archive's path becomes
// absolute. The name of an image in the archive may follow it, behind a colon; which colon that is
// shows on the host.
func (d *groupDecoder) image(r reader) string {
	s, at, ok := r.text("image", required)
	if !ok {
		return ""
	}
	for _, kind := range archives {
		file, is := strings.CutPrefix(s, kind.prefix)
		switch {
		case !is:
			continue
		case file == "":
			d.errorf(at, "Invalid image", "%s names no file. Write: %s, relative to this group file or absolute.", quote(s), kind.prefix+kind.example)
			return ""
		case strings.HasSuffix(file, ":"):
			d.errorf(at, "Invalid image", "%s names no image after its last colon. Write: %s", quote(s), quote(s+"name:1.0"))
			return ""
		case !path.IsAbs(file):
			file = path.Join(d.src.Dir, file)
		}
		return kind.prefix + path.Clean(file)
	}
	switch _, err := reference.ParseNormalizedNamed(s); {
	case s == "":
		d.errorf(at, "Invalid image", "The image is empty. Name one: \"registry.example/name:1.0\", or a file: \"oci-archive:name.tar\".")
	case strings.Contains(s, "://"):
		d.errorf(at, "Invalid image", "%s is an address. Write the image's name without %q, or a file: \"oci-archive:name.tar\".", quote(s), s[:strings.Index(s, "://")+3])
	case err != nil:
		why := strings.TrimPrefix(strings.TrimPrefix(err.Error(), reference.ErrReferenceInvalidFormat.Error()), ": ")
		if why != "" {
			why = " (" + why + ")"
		}
		d.errorf(at, "Invalid image", "%s is no image reference%s. Write \"registry.example/name:tag\", or a file: \"oci-archive:name.tar\".", quote(s), why)
	default:
		return s
	}
	return ""
}
