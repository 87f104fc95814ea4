package archive

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// The prefixes by which a group file names an archive or a folder.
const (
	OCIPrefix       = "oci-archive:"
	DockerPrefix    = "docker-archive:"
	OCIFolderPrefix = "oci:"
)

// A Kind is how an image lies on the host.
type Kind int

// The kinds, by the prefix of each.
const (
	OCI Kind = iota + 1
	Docker
	OCIFolder
)

// Kinds are the kinds by their prefixes.
var Kinds = map[string]Kind{OCIPrefix: OCI, DockerPrefix: Docker, OCIFolderPrefix: OCIFolder}

// maxColons limits how many colons are looked at to find where a path ends: more than any name has.
const maxColons = 8

// A Place is an archive or a folder of the host, and which of its images is meant.
type Place struct {
	Path  string
	Name  string // empty: none is named
	Stamp string // of the file, or of a folder's index

	kind Kind
}

// Locate finds where the path in a reference ends and the name of an image begins: "/a.tar:app:1".
// The longest path at which something is counts, since a path may have colons. If there is nothing
// at any of them, the error is [fs.ErrNotExist], and the path ends at the first colon.
func Locate(ctx context.Context, kind Kind, where string) (Place, error) {
	for path := where; ; {
		fi, err := hostfile.Stat(ctx, path)
		if err == nil {
			at := Place{Path: path, Name: strings.TrimPrefix(where[len(path):], ":"), kind: kind}
			if kind != OCIFolder && fi.IsDir() {
				return Place{}, &hint.Error{
					Err:  fmt.Errorf("archive %s: it is a folder", path),
					Hint: fmt.Sprintf("write %q if it is an OCI layout, or else check the path", OCIFolderPrefix+where),
				}
			}
			if kind == OCIFolder && fi.IsDir() { // whose blobs never change
				if fi, err = hostfile.Stat(ctx, filepath.Join(path, ocispec.ImageIndexFile)); errors.Is(err, fs.ErrNotExist) {
					return at, nil // opening it reports what it lacks
				}
			}
			if err != nil {
				return Place{}, Unreadable(path, err)
			}
			at.Stamp = Stamp(fi)
			return at, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ENOTDIR) && !errors.Is(err, unix.ENAMETOOLONG) {
			return Place{}, Unreadable(path, err)
		}
		colon := strings.LastIndexByte(path, ':')
		if colon <= 0 || strings.Count(where[colon:], ":") > maxColons {
			return Place{}, Unreadable(path, unix.ENOENT)
		}
		path = path[:colon]
	}
}

// place returns the place of the archive as it is written behind a prefix.
func (a *Archive) place() string {
	if a.name == "" {
		return a.Path
	}
	return a.Path + ":" + a.name
}

// An entry has what an image of an archive can be named by.
type entry struct {
	names     []string
	positions []int // in the archive's list of images
	at        int   // in the caller's list
}

// means reports whether an image is one that is meant. Names are compared as docker completes them,
// so "app" is docker.io/library/app:latest. "@1" is the second image of the archive.
func (a *Archive) means(n entry) bool {
	if a.name == "" {
		return true
	}
	if position, ok := strings.CutPrefix(a.name, "@"); ok {
		i, err := strconv.Atoi(position)
		return err == nil && slices.Contains(n.positions, i)
	}
	return slices.ContainsFunc(n.names, func(have string) bool { return have == a.name || sameReference(have, a.name) })
}

func sameReference(a, b string) bool {
	x, err := reference.ParseDockerRef(a)
	if err != nil {
		return false
	}
	y, err := reference.ParseDockerRef(b)
	return err == nil && x.String() == y.String()
}

// maxShown is how many names an error lists.
const maxShown = 20

// shown returns the names of images for an error. Those of an image without one are "@" and its
// position.
func shown(all []entry) string {
	var names []string
	for _, n := range all {
		name := "@" + strconv.Itoa(n.positions[0])
		if len(n.names) > 0 {
			name = hint.Excerpt(n.names[0], hint.Short)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if more := len(names) - maxShown; more > 0 {
		names = append(names[:maxShown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// noneNamed returns the error for a name that no image of the archive has.
func (a *Archive) noneNamed(all []entry) error {
	if len(all) == 0 {
		return a.Damaged(errors.New("it names no image"))
	}
	return &hint.Error{
		Err:  fmt.Errorf("archive %s has no image %q, only: %s", a.Path, hint.Excerpt(a.name, hint.Short), shown(all)),
		Hint: "write one of these names behind the path, or none if the archive has one image",
	}
}

// several returns the error for more than one image that could be meant.
func (a *Archive) several(among string, meant []entry) error {
	example := "@" + strconv.Itoa(meant[0].positions[0])
	if a.name == "" && len(meant[0].names) > 0 {
		example = hint.Excerpt(meant[0].names[0], hint.Short)
	}
	return &hint.Error{
		Err:  fmt.Errorf("archive %s has %d images%s: %s", a.Path, len(meant), among, shown(meant)),
		Hint: fmt.Sprintf("name one behind the path: %q", filepath.Base(a.Path)+":"+example),
	}
}

// otherPlatform returns the error for an image that is for other platforms than the host's.
func (a *Archive) otherPlatform(list string) error {
	return &hint.Error{
		Err:  fmt.Errorf("archive %s has no image for %s, only for: %s", a.Path, platforms.Format(platforms.DefaultSpec()), list),
		Hint: "build or save the image for this host's platform",
	}
}
