package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
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

// DockerImage returns the one image of a docker archive, with the manifest that such an archive
// lacks. The configuration has the digests of the plain layers, so these are not read.
func (a *Archive) DockerImage(ctx context.Context, want platforms.MatchComparer) (*Image, error) {
	entry, err := a.dockerEntry(ctx)
	if err != nil {
		return nil, err
	}
	config, err := a.read(ctx, entry.Config)
	if err != nil {
		return nil, err
	}
	var cfg dockerConfig
	if err := json.Unmarshal(config, &cfg); err != nil {
		return nil, a.Damaged(fmt.Errorf("%s: %w", blobName(entry.Config), err))
	}
	if p := platforms.Normalize(cfg.Platform); !want.Match(p) {
		return nil, &hint.Error{
			Err:  fmt.Errorf("archive %s has no image for %s, only for: %s", a.Path, platforms.Format(platforms.DefaultSpec()), platforms.Format(p)),
			Hint: "build or save the image for this host's platform",
		}
	}
	if len(cfg.RootFS.DiffIDs) != len(entry.Layers) {
		return nil, a.Damaged(fmt.Errorf("it has %d layers, its configuration names %d", len(entry.Layers), len(cfg.RootFS.DiffIDs)))
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: images.MediaTypeDockerSchema2Manifest}
	m.Config = describeBytes(images.MediaTypeDockerSchema2Config, config)
	img := &Image{Blobs: []Blob{inMemory(m.Config, config)}}
	known := map[string]digest.Digest{} // of compressed layers, by resolved name
	for i, name := range entry.Layers {
		b, err := a.dockerLayer(ctx, name, cfg.RootFS.DiffIDs[i], known)
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, b.Desc)
		img.Blobs = append(img.Blobs, b)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("archive %s: make a manifest: %w", a.Path, err)
	}
	img.Manifest = describeBytes(m.MediaType, manifest)
	img.Blobs = append(img.Blobs, inMemory(img.Manifest, manifest))
	return img, nil
}

// dockerEntry is the archive's one image.
func (a *Archive) dockerEntry(ctx context.Context) (dockerEntry, error) {
	if a.part(dockerManifest) == nil {
		if a.part(ocispec.ImageIndexFile) != nil {
			return dockerEntry{}, &hint.Error{
				Err:  fmt.Errorf("archive %s is an OCI archive, not a docker one", a.Path),
				Hint: fmt.Sprintf(`write "%s%s"`, OCIPrefix, a.Path),
			}
		}
		return dockerEntry{}, a.notAnArchive("docker", dockerManifest)
	}
	var entries list[dockerEntry]
	if err := a.decode(ctx, dockerManifest, &entries); err != nil {
		return dockerEntry{}, err
	}
	switch len(entries) {
	case 0:
		return dockerEntry{}, a.Damaged(errors.New("it names no image"))
	case 1:
		return entries[0], nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.Join(append([]string{e.Config}, e.RepoTags...), " "))
	}
	return dockerEntry{}, &hint.Error{
		Err:  fmt.Errorf("archive %s has %d images: %s", a.Path, len(entries), strings.Join(names, ", ")),
		Hint: "save each image to an archive of its own",
	}
}

// dockerLayer finds a layer. A compressed layer has a digest of its own, and is read for it, unless
// it is known.
func (a *Archive) dockerLayer(ctx context.Context, name string, diffID digest.Digest, known map[string]digest.Digest) (Blob, error) {
	if err := diffID.Validate(); err != nil {
		return Blob{}, a.Damaged(fmt.Errorf("digest %q: %w", diffID, err))
	}
	p := a.part(name)
	if p == nil {
		return Blob{}, a.lacks(name)
	}
	magic := make([]byte, 2)
	if n, err := p.ReadAt(magic, 0); err != nil && err != io.EOF {
		return Blob{}, fmt.Errorf("archive %s: %w", a.Path, err)
	} else if n < 2 || magic[0] != 0x1f || magic[1] != 0x8b {
		return Blob{Desc: ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2Layer, Digest: diffID, Size: p.Size()}, Bytes: p}, nil
	}
	id := known[a.resolve(name)]
	if id == "" {
		var err error
		if id, err = digest.FromReader(untilDone{ctx, io.NewSectionReader(p, 0, p.Size())}); err != nil {
			return Blob{}, fmt.Errorf("archive %s: %w", a.Path, err)
		}
		known[a.resolve(name)] = id
	}
	return Blob{Desc: ocispec.Descriptor{MediaType: images.MediaTypeDockerSchema2LayerGzip, Digest: id, Size: p.Size()}, Bytes: p}, nil
}

func describeBytes(mediaType string, b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func inMemory(d ocispec.Descriptor, b []byte) Blob {
	return Blob{Desc: d, Bytes: io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))}
}
