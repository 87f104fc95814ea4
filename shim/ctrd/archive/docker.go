package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
)

// dockerManifest is the table of contents of what `docker save` writes.
const dockerManifest = "manifest.json"

// A dockerEntry is one image in a dockerManifest.
type dockerEntry struct {
	Config   string
	RepoTags list[string]
	Layers   list[string]
}

// A dockerConfig is an image configuration with what is needed of it.
type dockerConfig struct {
	ocispec.Platform
	RootFS struct {
		DiffIDs list[digest.Digest] `json:"diff_ids"`
	} `json:"rootfs"`
}

// DockerImage returns the image of a docker archive that is meant, with the manifest that such an
// archive lacks. The configuration has the digests of the plain layers, so these are not read.
func (a *Archive) DockerImage(ctx context.Context, want platforms.MatchComparer) (*Image, error) {
	entry, err := a.dockerEntry(ctx)
	if err != nil {
		return nil, err
	}
	img, platform, err := a.dockerImage(ctx, entry, want)
	if err == nil && img == nil {
		err = a.otherPlatform(platform)
	}
	return img, err
}

// dockerImage returns the image of an entry. It returns nil and the image's platform if that is not
// the wanted one.
func (a *Archive) dockerImage(ctx context.Context, entry dockerEntry, want platforms.MatchComparer) (_ *Image, platform string, err error) {
	config, err := a.read(ctx, entry.Config)
	if err != nil {
		return nil, "", err
	}
	var cfg dockerConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return nil, "", a.Damaged(fmt.Errorf("%s: %w", blobName(entry.Config), err))
	}
	if p := platforms.Normalize(cfg.Platform); !want.Match(p) {
		return nil, platforms.Format(p), nil
	}
	if len(cfg.RootFS.DiffIDs) != len(entry.Layers) {
		return nil, "", a.Damaged(fmt.Errorf("it has %d layers, its configuration names %d", len(entry.Layers), len(cfg.RootFS.DiffIDs)))
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: images.MediaTypeDockerSchema2Manifest}
	m.Config = describeBytes(images.MediaTypeDockerSchema2Config, config)
	img := &Image{Blobs: []Blob{inMemory(m.Config, config)}}
	known := map[string]digest.Digest{} // of compressed layers, by resolved name
	for i, name := range entry.Layers {
		b, err := a.dockerLayer(ctx, name, cfg.RootFS.DiffIDs[i], known)
		if err != nil {
			return nil, "", err
		}
		m.Layers = append(m.Layers, b.Desc)
		img.Blobs = append(img.Blobs, b)
	}
	if slices.ContainsFunc(m.Layers, func(d ocispec.Descriptor) bool { return d.MediaType == ocispec.MediaTypeImageLayerZstd }) {
		m = ociManifest(m) // docker's media types have none for zstd that containerd 1.6 knows
		for i, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
			img.Blobs[i].Desc = d
		}
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, "", fmt.Errorf("archive %s: make a manifest: %w", a.Path, err)
	}
	img.Manifest = describeBytes(m.MediaType, manifest)
	img.Blobs = append(img.Blobs, inMemory(img.Manifest, manifest))
	return img, "", nil
}

// dockerEntries returns all images of the archive. There is at least one.
func (a *Archive) dockerEntries(ctx context.Context) (list[dockerEntry], error) {
	if !a.has(ctx, dockerManifest) {
		switch {
		case a.has(ctx, ocispec.ImageIndexFile):
			return nil, &hint.Error{
				Err:  fmt.Errorf("archive %s is an OCI archive, not a docker one", a.Path),
				Hint: fmt.Sprintf("write %q", OCIPrefix+a.place()),
			}
		case a.has(ctx, "repositories"):
			return nil, &hint.Error{
				Err:  fmt.Errorf("archive %s was written by docker before 1.10: it has no %s", a.Path, dockerManifest),
				Hint: "load it into a newer docker or podman, and save it there",
			}
		}
		return nil, a.notAnArchive("docker", dockerManifest)
	}
	var entries list[dockerEntry]
	if err := a.decode(ctx, dockerManifest, &entries); err != nil {
		return nil, err
	}
	if len(entries) == 0 {
		return nil, a.Damaged(errors.New("it names no image"))
	}
	return entries, nil
}

// dockerEntry returns the image of the archive that is meant.
func (a *Archive) dockerEntry(ctx context.Context) (dockerEntry, error) {
	entries, err := a.dockerEntries(ctx)
	if err != nil {
		return dockerEntry{}, err
	}
	var all, meant []entry
	for i, e := range entries {
		n := entry{at: i, positions: []int{i}, names: e.RepoTags}
		all = append(all, n)
		if a.means(n) && !slices.ContainsFunc(meant, func(m entry) bool {
			have := entries[m.at]
			return have.Config == e.Config && slices.Equal(have.Layers, e.Layers)
		}) {
			meant = append(meant, n)
		}
	}
	switch len(meant) {
	case 0:
		return dockerEntry{}, a.noneNamed(all)
	case 1:
		return entries[meant[0].at], nil
	}
	return dockerEntry{}, a.several("", meant)
}

// dockerLayer finds a layer. A compressed layer has a digest of its own: that in its name, which
// containerd checks as it takes the bytes, or else it is read for it, unless it is known.
func (a *Archive) dockerLayer(ctx context.Context, name string, diffID digest.Digest, known map[string]digest.Digest) (Blob, error) {
	if err := diffID.Validate(); err != nil {
		return Blob{}, a.Damaged(fmt.Errorf("digest %q: %w", diffID, err))
	}
	p, err := a.part(ctx, name)
	if err != nil {
		return Blob{}, err
	}
	if p == nil {
		return Blob{}, a.lacks(name)
	}
	mediaType := images.MediaTypeDockerSchema2LayerGzip
	switch how, err := a.layerCompression(name, p); {
	case err != nil:
		return Blob{}, err
	case how == compression.Uncompressed:
		return Blob{Desc: ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2Layer, Digest: diffID, Size: p.Size()}, Bytes: p}, nil
	case how == compression.Zstd:
		mediaType = ocispec.MediaTypeImageLayerZstd
	}
	resolved := a.resolve(name)
	id := known[resolved]
	if id == "" {
		if id = digestOfName(resolved); id == "" {
			if id, err = digest.FromReader(untilDone{ctx, io.NewSectionReader(p, 0, p.Size())}); err != nil {
				return Blob{}, fmt.Errorf("archive %s: %w", a.Path, err)
			}
		}
		known[resolved] = id
	}
	return Blob{Desc: ocispec.Descriptor{MediaType: mediaType, Digest: id, Size: p.Size()}, Bytes: p}, nil
}

func describeBytes(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func inMemory(d ocispec.Descriptor, b []byte) Blob {
	return Blob{Desc: d, Bytes: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}
}
