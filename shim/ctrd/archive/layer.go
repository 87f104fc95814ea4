package archive

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/hint"
)

// others are the first bytes of compressed files that containerd can't unpack.
var others = map[string]string{"\xfd7zXZ\x00": "xz", "BZh": "bzip2"}

// layerCompression returns how a layer is compressed, by its first bytes. Names and media types
// don't count: docker 29 writes layers of zstd under the names of gzip.
func (a *Archive) layerCompression(name string, p *io.SectionReader) (compression.Compression, error) {
	magic, err := firstBytes(p)
	if err != nil {
		return compression.Unknown, fmt.Errorf("archive %s: %w", a.Path, err)
	}
	if other := otherCompression(magic); other != "" {
		return compression.Unknown, &hint.Error{
			Err:  fmt.Errorf("archive %s has a layer that is compressed with %s: %s", a.Path, other, blobName(name)),
			Hint: "save the image with layers that are plain, or compressed with gzip or zstd",
		}
	}
	return compression.DetectCompression(magic), nil
}

// firstBytes returns what a file's kind shows in.
func firstBytes(r io.ReaderAt) ([]byte, error) {
	magic := make([]byte, 10)
	n, err := r.ReadAt(magic, 0)
	if err == io.EOF {
		err = nil
	}
	return magic[:n], err
}

func otherCompression(magic []byte) string {
	for prefix, name := range others {
		if strings.HasPrefix(string(magic), prefix) {
			return name
		}
	}
	return ""
}

// digestOfName returns the digest in the name of a blob. It is empty for any other name.
func digestOfName(name string) digest.Digest {
	encoded, ok := strings.CutPrefix(name, "blobs/sha256/")
	if id := digest.NewDigestFromEncoded(digest.SHA256, encoded); ok && id.Validate() == nil {
		return id
	}
	return ""
}

// ociManifest returns a docker manifest as an OCI one, with the same parts.
func ociManifest(m ocispec.Manifest) ocispec.Manifest {
	m.MediaType, m.Config.MediaType = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig
	for i, d := range m.Layers {
		switch d.MediaType {
		case images.MediaTypeDockerSchema2Layer:
			m.Layers[i].MediaType = ocispec.MediaTypeImageLayer
		case images.MediaTypeDockerSchema2LayerGzip:
			m.Layers[i].MediaType = ocispec.MediaTypeImageLayerGzip
		}
	}
	return m
}

// correct gives each layer that its manifest calls plain, and that isn't, its right media type.
// containerd finds out by itself what is gzip and what zstd, and takes a plain layer as it is. The
// manifest is then another one, with a digest of its own.
func (a *Archive) correct(ctx context.Context, img *Image) error {
	right := map[int]string{}
	layers := img.Blobs[1 : len(img.Blobs)-1] // between the configuration and the manifest
	for i, b := range layers {
		how, err := a.layerCompression(blobPath(b.Desc), b.Bytes)
		switch {
		case err != nil:
			return err
		case b.Desc.MediaType != ocispec.MediaTypeImageLayer:
		case how == compression.Gzip:
			right[i] = ocispec.MediaTypeImageLayerGzip
		case how == compression.Zstd:
			right[i] = ocispec.MediaTypeImageLayerZstd
		}
	}
	if len(right) == 0 {
		return nil
	}
	var whole map[string]json.RawMessage
	var list []map[string]json.RawMessage
	if err := a.decode(ctx, blobPath(img.Manifest), &whole); err != nil {
		return err
	}
	err := json.Unmarshal(whole["layers"], &list)
	if err != nil || len(list) != len(layers) {
		return a.Damaged(fmt.Errorf("%s: it lists its layers twice", blobName(blobPath(img.Manifest))))
	}
	for i, mediaType := range right {
		list[i]["mediaType"], _ = json.Marshal(mediaType) // a text encodes
		layers[i].Desc.MediaType = mediaType
	}
	if whole["layers"], err = json.Marshal(list); err != nil {
		return fmt.Errorf("archive %s: make a manifest: %w", a.Path, err)
	}
	manifest, err := json.Marshal(whole)
	if err != nil {
		return fmt.Errorf("archive %s: make a manifest: %w", a.Path, err)
	}
	img.Manifest = describeBytes(img.Manifest.MediaType, manifest)
	img.Blobs[len(img.Blobs)-1] = inMemory(img.Manifest, manifest)
	return nil
}
