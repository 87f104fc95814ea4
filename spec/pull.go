package spec

import "strings"

// A Pull is when the registry of an image is asked for it.
type Pull string

// The times. An archive is read whenever it has changed, so it has none of them.
const (
	PullMissing Pull = ""       // if the host lacks the image; the default: "missing" in the file
	PullAlways  Pull = "always" // at each apply, which then runs what the tag means by now
	PullNever   Pull = "never"  // not at all
)

// pull reads when the image is asked for.
func (d *groupDecoder) pull(r reader, image string) Pull {
	const missing = "missing"
	s, at, ok := r.oneOf("pull", []string{missing, string(PullAlways), string(PullNever)})
	switch {
	case !ok:
		return PullMissing
	case isArchive(image):
		d.errorf(at, "An image that is not pulled", "An archive is read from its file, and again when the file has changed. Leave the line out.")
	case s == string(PullAlways) && strings.Contains(image, "@"):
		d.errorf(at, "An image that never changes", "A name with a digest means the same image for ever. Leave the line out, or name a tag.")
	case s == missing:
		return PullMissing
	}
	return Pull(s)
}

// PullOf returns when the registry is asked for an image of the group. Of several containers, one
// with "always" counts first, and one with "never" last.
func (g *Group) PullOf(image string) Pull {
	mode := PullNever
	for _, c := range g.Containers {
		switch {
		case c.Image != image:
		case c.Pull == PullAlways:
			return PullAlways
		case c.Pull == PullMissing:
			mode = PullMissing
		}
	}
	return mode
}

// isArchive reports whether an image is in a file or a folder on the host.
func isArchive(image string) bool {
	for _, kind := range archives {
		if strings.HasPrefix(image, kind.prefix) {
			return true
		}
	}
	return false
}
