package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// A Named is an image of an archive with the names that it has there.
type Named struct {
	Names []string // complete, such as "docker.io/library/app:1". Empty: none that can be used
	Shown string   // for messages: its first name, or "@1"
	Image *Image   // nil: the archive has it for other platforms than the wanted one
	Only  string   // for which then
}

// Find finds an archive or a folder, as [Locate] does. Its kind shows when it is opened.
func Find(ctx context.Context, where string) (Place, error) {
	at, err := Locate(ctx, OCIFolder, where)
	if err != nil {
		return at, err
	}
	fi, err := hostfile.Stat(ctx, at.Path)
	if err != nil {
		return at, Unreadable(at.Path, err)
	}
	if !fi.IsDir() {
		at.kind = OCI
	}
	return at, nil
}

// OpenStream opens an archive that comes in a stream. It is kept in a nameless file in the folder
// scratch until the archive is closed. shown is its name in messages.
func OpenStream(ctx context.Context, from io.Reader, shown, scratch string) (*Archive, error) {
	a := &Archive{Path: shown, kind: OCI, parts: map[string]*io.SectionReader{}, links: map[string]string{}}
	f, n, err := a.spool(ctx, untilDone{ctx, from}, scratch, "has more than")
	if err == nil {
		a.tar, a.size = f, n
		err = a.openTar(ctx, scratch)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Images returns all images that are meant, for a platform, after checking that all of each is
// there. There is at least one. An archive that is both an OCI and a docker one is read as the
// first, which keeps the digests that a registry has.
func (a *Archive) Images(ctx context.Context, want platforms.MatchComparer) (all []Named, err error) {
	switch {
	case a.has(ctx, ocispec.ImageIndexFile):
		all, err = a.ociImages(ctx, want)
		unnamed := func(n Named) bool { return len(n.Names) == 0 }
		if err == nil && a.has(ctx, dockerManifest) && a.name == "" && !slices.ContainsFunc(all, func(n Named) bool { return !unnamed(n) }) {
			if named, failed := a.dockerImages(ctx, want); failed == nil && !slices.ContainsFunc(named, unnamed) {
				all = named
			}
		}
	case a.kind == OCIFolder:
		return nil, a.notAnArchive("OCI", ocispec.ImageIndexFile)
	case !a.has(ctx, dockerManifest) && !a.has(ctx, "repositories"):
		return nil, &hint.Error{
			Err:  fmt.Errorf("archive %s is neither a docker nor an OCI archive: it has no %s and no %s", a.Path, dockerManifest, ocispec.ImageIndexFile),
			Hint: "check the path, or save the image again if the archive was cut short",
		}
	default:
		all, err = a.dockerImages(ctx, want)
	}
	if err == nil && len(all) == 0 {
		err = a.Damaged(errors.New("it names no image"))
	}
	return all, err
}

func (a *Archive) dockerImages(ctx context.Context, want platforms.MatchComparer) (all []Named, err error) {
	entries, err := a.dockerEntries(ctx)
	if err != nil {
		return nil, err
	}
	var known []entry
	for i, e := range entries {
		n := entry{at: i, positions: []int{i}, names: e.RepoTags}
		known = append(known, n)
		if !a.means(n) {
			continue
		}
		img, platform, err := a.dockerImage(ctx, e, want)
		if err != nil {
			return nil, err
		}
		if img != nil {
			img.Root = img.Manifest
		}
		all = addNamed(all, Named{Names: complete(n.names), Shown: shown([]entry{n}), Image: img, Only: platform})
	}
	if len(all) == 0 {
		return nil, a.noneNamed(known)
	}
	return all, nil
}

// A top is an entry of index.json itself, with the images that were found below it.
type top struct {
	desc  ocispec.Descriptor
	found []candidate
}

func (a *Archive) ociImages(ctx context.Context, want platforms.MatchComparer) (all []Named, err error) {
	tops, err := a.tops(ctx)
	if err != nil {
		return nil, err
	}
	var names []string // the empty one for images without a name
	var known []entry
	for _, t := range tops {
		for _, c := range t.found {
			known = append(known, c.entry)
			if !a.means(c.entry) {
				continue
			}
			of := complete(c.names)
			if len(of) == 0 {
				of = []string{""}
			}
			for _, name := range of {
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(names) == 0 {
		return nil, a.noneNamed(known)
	}
	for _, name := range names {
		n, err := a.ociNamed(ctx, tops, name, want)
		if err != nil {
			return nil, err
		}
		all = addNamed(all, n)
	}
	return all, nil
}

// ociNamed returns the image of that name which suits the platform best. The empty name is that of
// all images without one.
func (a *Archive) ociNamed(ctx context.Context, tops []top, name string, want platforms.MatchComparer) (Named, error) {
	var found []candidate
	roots := map[digest.Digest]ocispec.Descriptor{} // by manifest
	for _, t := range tops {
		for _, c := range t.found {
			of := complete(c.names)
			if !a.means(c.entry) || !slices.Contains(of, name) && (name != "" || len(of) > 0) {
				continue
			}
			if _, known := roots[c.desc.Digest]; known {
				continue // under two indexes that name it
			}
			roots[c.desc.Digest] = c.desc
			if len(c.via) == 2 && (name == "" || slices.Contains(complete(refNames(t.desc)), name)) {
				roots[c.desc.Digest] = t.desc
			}
			found = append(found, c)
		}
	}
	n := Named{Shown: shown([]entry{found[0].entry})}
	if name != "" {
		n.Names = []string{name}
	}
	if !slices.ContainsFunc(found, func(c candidate) bool { return want.Match(c.platform) }) {
		n.Only = platformList(found)
		return n, nil
	}
	chosen, err := a.choose(found, want)
	if err != nil {
		return n, err
	}
	if n.Image, err = a.ociImage(ctx, chosen); err != nil {
		return n, err
	}
	n.Image.Root = n.Image.Manifest
	if root := roots[chosen.desc.Digest]; n.Image.Manifest.Digest == chosen.desc.Digest && root.Digest != chosen.desc.Digest {
		b, err := a.blob(ctx, root)
		if err != nil {
			return n, err
		}
		n.Image.Root, n.Image.Blobs = root, append(n.Image.Blobs, b)
	}
	return n, nil
}

// tops returns what index.json names, each with the images below it. Two indexes may name the same
// image.
func (a *Archive) tops(ctx context.Context) (tops []top, err error) {
	var in index
	if err := a.decode(ctx, ocispec.ImageIndexFile, &in); err != nil {
		return nil, err
	}
	named := len(in.Manifests)
	for i, d := range in.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return nil, a.Damaged(fmt.Errorf("digest %q: %w", d.Digest, err))
		}
		if d.Annotations["vnd.docker.reference.type"] != "" || d.ArtifactType != "" {
			continue
		}
		s := search{a: a, seen: map[digest.Digest]bool{d.Digest: true}, named: named}
		c := candidate{desc: d, entry: entry{names: refNames(d), positions: []int{i}}, via: []digest.Digest{d.Digest}}
		switch {
		case images.IsIndexType(d.MediaType):
			err = s.index(ctx, blobPath(d), c, maxIndexes-1)
		case images.IsManifestType(d.MediaType):
			if err = a.describe(ctx, &c); err == nil {
				s.found = append(s.found, c)
			}
		}
		if err != nil {
			return nil, err
		}
		named = s.named
		tops = append(tops, top{d, s.found})
	}
	return tops, nil
}

// addNamed adds an image, or its names to the same image.
func addNamed(all []Named, n Named) []Named {
	i := slices.IndexFunc(all, func(have Named) bool {
		return n.Image != nil && have.Image != nil && len(n.Names) > 0 && len(have.Names) > 0 && have.Image.Root.Digest == n.Image.Root.Digest
	})
	if i < 0 {
		return append(all, n)
	}
	for _, name := range n.Names {
		if !slices.Contains(all[i].Names, name) {
			all[i].Names = append(all[i].Names, name)
		}
	}
	return all
}

// complete returns the names that an image can be loaded under, as docker completes them. A text
// without a slash and a colon is a tag alone, as OCI layouts have it. A name with a digest would
// be a claim about content that the archive's is not compared with.
func complete(names []string) (full []string) {
	for _, name := range names {
		if !strings.ContainsAny(name, "/:") || strings.Contains(name, "@") {
			continue
		}
		ref, err := reference.ParseDockerRef(name)
		if err == nil && !slices.Contains(full, ref.String()) {
			full = append(full, ref.String())
		}
	}
	return full
}

// CompleteName completes a name that an image is to be loaded under.
func CompleteName(name string) (string, error) {
	ref, err := reference.ParseDockerRef(name)
	if err == nil && strings.Contains(name, "@") {
		err = errors.New("a digest is no name: it follows from the content")
	}
	if err != nil {
		return "", &hint.Error{Err: fmt.Errorf("name %q: %w", hint.Excerpt(name, hint.Short), err), Hint: "write it as a group file will, with a tag: app:1"}
	}
	return ref.String(), nil
}
