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
	desc     ocispec.Descriptor
	manifest manifest
	platform ocispec.Platform
	names    []string
}

// OCIImage returns the image for a platform from an OCI archive, after checking that all of it is
// there.
func (a *Archive) OCIImage(ctx context.Context, want platforms.MatchComparer) (*Image, error) {
	if a.part(ocispec.ImageIndexFile) == nil {
		if a.part(dockerManifest) != nil {
			return nil, &hint.Error{
				Err:  fmt.Errorf("archive %s is a docker archive, not an OCI one", a.Path),
				Hint: fmt.Sprintf(`write "%s%s"`, DockerPrefix, a.Path),
			}
		}
		return nil, a.notAnArchive("OCI", ocispec.ImageIndexFile)
	}
	s := search{a: a, seen: map[digest.Digest]bool{}}
	if err := s.index(ctx, ocispec.ImageIndexFile, nil, maxIndexes); err != nil {
		return nil, err
	}
	chosen, err := a.choose(s.found, want)
	if err != nil {
		return nil, err
	}
	last, err := a.blob(chosen.desc)
	if err != nil {
		return nil, err
	}
	img := &Image{Manifest: chosen.desc}
	for _, d := range append([]ocispec.Descriptor{chosen.manifest.Config}, chosen.manifest.Layers...) {
		if images.IsIndexType(d.MediaType) || images.IsManifestType(d.MediaType) { // containerd would follow what it names
			return nil, a.Damaged(fmt.Errorf("its manifest names the %s %s as a part of an image", d.MediaType, d.Digest))
		}
		b, err := a.blob(d)
		if err != nil {
			return nil, err
		}
		img.Blobs = append(img.Blobs, b)
	}
	img.Blobs = append(img.Blobs, last)
	return img, nil
}

// blob returns where a descriptor's bytes are.
func (a *Archive) blob(d ocispec.Descriptor) (Blob, error) {
	if err := d.Digest.Validate(); err != nil {
		return Blob{}, a.Damaged(fmt.Errorf("digest %q: %w", d.Digest, err))
	}
	p := a.part(blobPath(d))
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

// index collects the images that an index names, and those of the indexes in it. Attestations and
// their like are no images.
func (s *search) index(ctx context.Context, file string, names []string, depth int) error {
	var in index
	if err := s.a.decode(ctx, file, &in); err != nil {
		return err
	}
	if s.named += len(in.Manifests); s.named > maxNamed {
		return s.a.Damaged(fmt.Errorf("its indexes name more than %d manifests", maxNamed))
	}
	for _, d := range in.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return s.a.Damaged(fmt.Errorf("digest %q: %w", d.Digest, err))
		}
		if s.seen[d.Digest] || d.Annotations["vnd.docker.reference.type"] != "" || d.ArtifactType != "" {
			continue
		}
		s.seen[d.Digest] = true
		names := append(slices.Clone(names), refNames(d)...)
		switch {
		case images.IsIndexType(d.MediaType):
			if depth == 0 {
				return s.a.Damaged(fmt.Errorf("its indexes lie more than %d deep", maxIndexes))
			}
			if err := s.index(ctx, blobPath(d), names, depth-1); err != nil {
				return err
			}
		case images.IsManifestType(d.MediaType):
			c := candidate{desc: d, names: names}
			if err := s.a.describe(ctx, &c); err != nil {
				return err
			}
			s.found = append(s.found, c)
		}
	}
	return nil
}

// refNames returns the names of a descriptor.
func refNames(d ocispec.Descriptor) []string {
	for _, key := range []string{images.AnnotationImageName, ocispec.AnnotationRefName} {
		if name := d.Annotations[key]; name != "" {
			return []string{name}
		}
	}
	return nil
}

// describe reads a candidate's manifest and finds its platform, which an index need not have.
func (a *Archive) describe(ctx context.Context, c *candidate) error {
	if c.desc.Platform != nil {
		c.platform = platforms.Normalize(*c.desc.Platform)
	}
	if a.part(blobPath(c.desc)) == nil && c.desc.Platform != nil {
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

// choose returns the image that suits the platform best. If two different images suit it equally,
// the error is a [hint.Error].
func (a *Archive) choose(found []candidate, want platforms.MatchComparer) (candidate, error) {
	var best []candidate
	for _, c := range found {
		switch {
		case !want.Match(c.platform), slices.ContainsFunc(best, func(b candidate) bool { return b.desc.Digest == c.desc.Digest }):
		case len(best) == 0 || want.Less(c.platform, best[0].platform):
			best = []candidate{c}
		case !want.Less(best[0].platform, c.platform):
			best = append(best, c)
		}
	}
	switch len(best) {
	case 0:
		return candidate{}, &hint.Error{
			Err:  fmt.Errorf("archive %s has no image for %s, only for: %s", a.Path, platforms.Format(platforms.DefaultSpec()), platformList(found)),
			Hint: "build or save the image for this host's platform",
		}
	case 1:
		return best[0], nil
	}
	var names []string
	for _, c := range best {
		names = append(names, strings.Join(append(c.names, c.desc.Digest.String()), " "))
	}
	return candidate{}, &hint.Error{
		Err:  fmt.Errorf("archive %s has %d images for this platform: %s", a.Path, len(best), strings.Join(names, ", ")),
		Hint: "save each image to an archive of its own",
	}
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
