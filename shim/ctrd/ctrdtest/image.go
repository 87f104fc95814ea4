// Package ctrdtest has what the tests of ctrd share with those of the packages below it: images,
// archives of them, and each containerd to test with.
package ctrdtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An Image is a manifest and its blobs.
type Image struct {
	Config   ocispec.Image
	Manifest ocispec.Descriptor
	Blobs    map[digest.Digest][]byte
	Layers   [][]byte // as plain tars
}

// Build makes an image of plain tars, which it compresses.
func Build(t testing.TB, cfg ocispec.Image, layers ...[]byte) Image {
	t.Helper()
	img := Image{Blobs: map[digest.Digest][]byte{}, Layers: layers}
	put := func(mediaType string, b []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		img.Blobs[d.Digest] = b
		return d
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	cfg.RootFS = ocispec.RootFS{Type: "layers"}
	for _, l := range layers {
		m.Layers = append(m.Layers, put(ocispec.MediaTypeImageLayerGzip, Compress(t, l)))
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, digest.FromBytes(l))
	}
	m.Config = put(ocispec.MediaTypeImageConfig, JSON(t, cfg))
	img.Config = cfg
	img.Manifest = put(ocispec.MediaTypeImageManifest, JSON(t, m))
	img.Manifest.Platform = &cfg.Platform
	return img
}

// Retyped returns an image with one other layer, to which its manifest gives a media type.
func Retyped(t testing.TB, img Image, mediaType string, layer []byte) Image {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(img.Blobs[img.Manifest.Digest], &m); err != nil {
		t.Fatal(err)
	}
	m.Layers = []ocispec.Descriptor{{MediaType: mediaType, Digest: digest.FromBytes(layer), Size: int64(len(layer))}}
	body := JSON(t, m)
	manifest := ocispec.Descriptor{MediaType: m.MediaType, Digest: digest.FromBytes(body), Size: int64(len(body)), Platform: img.Manifest.Platform}
	return Image{Config: img.Config, Manifest: manifest, Blobs: map[digest.Digest][]byte{
		m.Config.Digest: img.Blobs[m.Config.Digest], m.Layers[0].Digest: layer, manifest.Digest: body,
	}}
}

// Index is an index of images, as index.json has it.
func Index(images ...Image) ocispec.Index {
	idx := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, img := range images {
		idx.Manifests = append(idx.Manifests, img.Manifest)
	}
	return idx
}

// WriteOCI writes an OCI archive of the images.
func WriteOCI(t testing.TB, path string, images ...Image) {
	t.Helper()
	writeFile(t, path, Tar(t, OCIFiles(t, Index(images...), images...)))
}

// OCIFiles are the files of an OCI archive with this index and all blobs of these images.
func OCIFiles(t testing.TB, index ocispec.Index, images ...Image) []File {
	t.Helper()
	files := []File{
		{Name: "oci-layout", Mode: 0o644, Body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{Name: "index.json", Mode: 0o644, Body: JSON(t, index)},
	}
	for _, img := range images {
		for _, dgst := range slices.Sorted(maps.Keys(img.Blobs)) {
			files = append(files, File{Name: "blobs/sha256/" + dgst.Encoded(), Mode: 0o644, Body: img.Blobs[dgst]})
		}
	}
	return files
}

// WriteDocker writes an archive as `docker save` did for long: plain layers, and a manifest.json.
func WriteDocker(t testing.TB, path string, img Image, tags ...string) {
	t.Helper()
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	e := entry{Config: "config.json", RepoTags: tags}
	files := []File{{Name: "config.json", Mode: 0o644, Body: JSON(t, img.Config)}}
	for i, l := range img.Layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		e.Layers = append(e.Layers, name)
		files = append(files, File{Name: name, Mode: 0o644, Body: l})
	}
	files = append(files, File{Name: "manifest.json", Mode: 0o644, Body: JSON(t, []entry{e})})
	writeFile(t, path, Tar(t, files))
}

// A File is one entry of a tar. It is a folder if its name ends in a slash, a symbolic link if Link
// is set, and else a file.
type File struct {
	Name string
	Mode int64
	Link string
	Body []byte
}

func Tar(t testing.TB, files []File) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.Name, Mode: f.Mode, Typeflag: tar.TypeReg, Size: int64(len(f.Body)), ModTime: time.Unix(1e9, 0)}
		switch {
		case f.Link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
		case strings.HasSuffix(f.Name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.Body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func Compress(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

// CompressZstd compresses with zstd, as docker 29 does layers.
func CompressZstd(t testing.TB, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return z.Bytes()
}

func JSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// LayerBlobs are the compressed layers, for a test to spoil.
func (img Image) LayerBlobs(t testing.TB) [][]byte {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(img.Blobs[img.Manifest.Digest], &m); err != nil {
		t.Fatal(err)
	}
	var bs [][]byte
	for _, l := range m.Layers {
		bs = append(bs, img.Blobs[l.Digest])
	}
	return bs
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
