package group

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/shim/diff"
)

// A Comparison has the differences between two generations of a group. Sensitive values are hidden.
type Comparison struct {
	Group   string        `json:"group"`
	Before  int           `json:"before"` // the number of a generation
	Now     int           `json:"now"`
	Differs []diff.Change `json:"differs"`
	Images  []MovedImage  `json:"images,omitempty"`
	// Texts are the group file and the files that it names, as far as they differ.
	Texts []TextDiff `json:"texts,omitempty"`
}

// A MovedImage is an image reference that means another image.
type MovedImage struct {
	Image  string `json:"image"`
	Before string `json:"before"` // digest
	Now    string `json:"now"`
}

// A TextDiff has the differences in one file.
type TextDiff struct {
	Name string `json:"name"` // the base name of the group file, or the path of a file that it names
	Diff string `json:"diff"` // unified; empty if a text can't be shown
	Why  string `json:"why,omitempty"`
}

// Moved returns the references that are in both with another digest, sorted.
func (p ImageDigests) Moved(before ImageDigests) (moved []MovedImage) {
	for _, ref := range slices.Sorted(maps.Keys(p)) {
		if was, ok := before[ref]; ok && was != p[ref] {
			moved = append(moved, MovedImage{ref, was, p[ref]})
		}
	}
	return moved
}
