package host

import "io"

// A LoadRequest asks for the images of an archive or an OCI folder.
type LoadRequest struct {
	// Path is absolute. One of several images is named behind a colon. Content takes its place if
	// it is not nil.
	Path    string
	Content io.Reader
	Name    string // optional: the name of the only image, instead of those in the archive
}

// LoadedImages are the images of a [LoadRequest]. The command prints the JSON, too.
type LoadedImages struct {
	Images  []LoadedImage `json:"images"`
	Skipped []string      `json:"skipped,omitempty"` // those for other platforms, in words
}

// A LoadedImage is a name that an image was loaded under.
type LoadedImage struct {
	Image  string `json:"image"`
	Digest string `json:"digest"`
	Before string `json:"before,omitempty"` // what the name meant on the host; empty: nothing
	// Groups are those that name the image and use another digest. They go on with that.
	Groups []string `json:"groups,omitempty"`
}
