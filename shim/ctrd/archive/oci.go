package archive

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
)

const (
	maxIndexes = 4    // how deep indexes may lie in indexes
	maxNamed   = 1000 // manifests and indexes that all indexes of an archive may name
)

// A candidate is an image of an archive that could be the one meant.
type candidate struct {
	entry
	desc     ocispec.Descriptor
	manifest manifest
	platform ocispec.Platform
	via      []digest.Digest // of the indexes that lead to it, and its own
}

// OCIImage returns the image that is meant for a platform from an OCI archive or folder, after
// checking that all of it is there.
func (a *Archive) OCIImage(ctx context.Context, want platforms.MatchComparer) (*Image, error) {
	if !a.has(ctx, ocispec.ImageIndexFile) {
		if a.has(ctx, dockerManifest) {
			return nil, &hint.Error{
				Err:  fmt.Errorf("archive %s is a docker archive, not an OCI one", a.Path),
				Hint: fmt.Sprintf("write %q", DockerPrefix+a.place()),
			}
		}
		return nil, a.notAnArchive("OCI", ocispec.ImageIndexFile)
	}
	s := search{a: a, seen: map[digest.Digest]bool{}}
	if err := s.index(ctx, ocispec.ImageIndexFile, candidate{}, maxIndexes); err != nil {
		return nil, err
	}
	chosen, err := a.choose(s.found, want)
	if err != nil {
		return nil, err
	}
	return a.ociImage(ctx, chosen)
}

// ociImage returns a candidate, after checking that all of it is there.
func (a *Archive) ociImage(ctx context.Context, chosen candidate) (*Image, error) {
	last, err := a.blob(ctx, chosen.desc)
	if err != nil {
		return nil, err
	}
	img := &Image{Manifest: chosen.desc}
	for _, d := range append([]ocispec.Descriptor{chosen.manifest.Config}, chosen.manifest.Layers...) {
		if images.IsIndexType(d.MediaType) || images.IsManifestType(d.MediaType) { // containerd would follow what it names
			return nil, a.Damaged(fmt.Errorf("its manifest names the %s %s as a part of an image", d.MediaType, d.Digest))
		}
		b, err := a.blob(ctx, d)
		if err != nil {
			return nil, err
		}
		img.Blobs = append(img.Blobs, b)
	}
	img.Blobs = append(img.Blobs, last)
	return img, a.correct(ctx, img)
}

// blob returns where a descriptor's bytes are.
func (a *Archive) blob(ctx context.Context, d ocispec.Descriptor) (Blob, error) {
	if err := d.Digest.Validate(); err != nil {
		return Blob{}, a.Damaged(fmt.Errorf("digest %q: %w", d.Digest, err))
	}
	p, err := a.part(ctx, blobPath(d))
	if err != nil {
		return Blob{}, err
	}
	if p == nil {
		return Blob{}, a.lacks(blobPath(d))
	}
	if p.Size() != d.Size {
		return Blob{}, a.Damaged(fmt.Errorf("%s has %d bytes, its descriptor says %d", blobName(blobPath(d)), p.Size(), d.Size))
	}
	return Blob{Desc: d, Bytes: p}, nil
}

func blobPath(d ocispec.Descriptor) string {
	return "blobs/" + strings.Replace(d.Digest.String(), ":", "/", 1)
}

// An index is an image index with what is needed of it.
type index struct {
	Manifests list[ocispec.Descriptor] `json:"manifests"`
}

// A manifest is an image manifest with what is needed of it.
type manifest struct {
	Config ocispec.Descriptor       `json:"config"`
	Layers list[ocispec.Descriptor] `json:"layers"`
}

// A search collects the images that an archive's indexes name. It follows each digest once: indexes
// that name each other would be followed for ever.
type search struct {
	a     *Archive
	seen  map[digest.Digest]bool
	named int // manifests and indexes, by all indexes
	found []candidate
}

// index collects the images that an index names, and those of the indexes in it. above has the
// names of the index and those that lead to it. Attestations and their like are no images.
func (s *search) index(ctx context.Context, file string, above candidate, depth int) error {
	var in index
	if err := s.a.decode(ctx, file, &in); err != nil {
		return err
	}
	if s.named += len(in.Manifests); s.named > maxNamed {
		return s.a.Damaged(fmt.Errorf("its indexes name more than %d manifests", maxNamed))
	}
	for i, d := range in.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return s.a.Damaged(fmt.Errorf("digest %q: %w", d.Digest, err))
		}
		if d.Annotations["vnd.docker.reference.type"] != "" || d.ArtifactType != "" {
			continue
		}
		c := candidate{desc: d, entry: entry{names: append(slices.Clone(above.names), refNames(d)...), positions: above.positions}}
		if depth == maxIndexes {
			c.positions = []int{i}
		}
		if s.seen[d.Digest] {
			if depth == maxIndexes { // another name of the same image
				s.also(c)
			}
			continue
		}
		s.seen[d.Digest] = true
		c.via = append(slices.Clone(above.via), d.Digest)
		switch {
		case images.IsIndexType(d.MediaType):
			if depth == 0 {
				return s.a.Damaged(fmt.Errorf("its indexes lie more than %d deep", maxIndexes))
			}
			if err := s.index(ctx, blobPath(d), c, depth-1); err != nil {
				return err
			}
		case images.IsManifestType(d.MediaType):
			if err := s.a.describe(ctx, &c); err != nil {
				return err
			}
			s.found = append(s.found, c)
		}
	}
	return nil
}

// also gives the names and the position of c to all that was found below its digest.
func (s *search) also(c candidate) {
	for i := range s.found {
		if f := &s.found[i]; slices.Contains(f.via, c.desc.Digest) {
			f.names = append(slices.Clone(f.names), c.names...)
			f.positions = append(slices.Clone(f.positions), c.positions...)
		}
	}
}

// refNames returns the names of a descriptor, the fullest first.
func refNames(d ocispec.Descriptor) (names []string) {
	for _, key := range []string{images.AnnotationImageName, ocispec.AnnotationRefName} {
		if name := d.Annotations[key]; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// describe reads a candidate's manifest and finds its platform, which an index need not have.
func (a *Archive) describe(ctx context.Context, c *candidate) error {
	if c.desc.Platform != nil {
		c.platform = platforms.Normalize(*c.desc.Platform)
	}
	if c.desc.Platform != nil && !a.has(ctx, blobPath(c.desc)) {
		return nil // another platform's, left out; or the chosen one, which is then found missing
	}
	if err := a.decode(ctx, blobPath(c.desc), &c.manifest); err != nil {
		return err
	}
	if c.desc.Platform != nil {
		return nil
	}
	var p ocispec.Platform
	if err := a.decode(ctx, blobPath(c.manifest.Config), &p); err != nil {
		return err
	}
	c.platform = platforms.Normalize(p)
	return nil
}

// choose returns the image that is meant and suits the platform best. If there is none, or two
// different images suit it equally, the error is a [hint.Error].
func (a *Archive) choose(found []candidate, want platforms.MatchComparer) (candidate, error) {
	var meant, best []candidate
	var all []entry
	for _, c := range found {
		all = append(all, c.entry)
		if !a.means(c.entry) {
			continue
		}
		meant = append(meant, c)
		switch {
		case !want.Match(c.platform):
		case len(best) == 0 || want.Less(c.platform, best[0].platform):
			best = []candidate{c}
		case !want.Less(best[0].platform, c.platform):
			best = append(best, c)
		}
	}
	switch {
	case len(best) == 1:
		return best[0], nil
	case len(meant) == 0 && a.name != "":
		return candidate{}, a.noneNamed(all)
	case len(best) == 0:
		return candidate{}, a.otherPlatform(platformList(meant))
	}
	var several []entry
	for _, c := range best {
		several = append(several, c.entry)
	}
	return candidate{}, a.several(" for this platform", several)
}

func platformList(found []candidate) string {
	var list []string
	for _, c := range found {
		list = append(list, platforms.Format(c.platform))
	}
	if len(list) == 0 {
		return "none"
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

func (a *Archive) notAnArchive(kind, lacks string) error {
	return &hint.Error{
		Err:  fmt.Errorf("archive %s is no %s archive: it has no %s", a.Path, kind, lacks),
		Hint: "check the path, or copy it again if it was cut short",
	}
}
