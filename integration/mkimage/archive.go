package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	_ "crypto/sha256" // go-digest computes with what is linked in
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"

	digest "github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
)

// writeArchive writes an OCI image layout as a tar: one image of one layer. The same input gives
// the same bytes, so the digest depends on what was built and not on when.
func writeArchive(w io.Writer, name, arch string, root *tree, config imagespec.ImageConfig) error {
	blobs := layout{}

	var layer, plain bytes.Buffer
	if err := root.writeTar(&plain); err != nil {
		return err
	}
	diffID := digest.FromBytes(plain.Bytes())
	zw := gzip.NewWriter(&layer)
	if _, err := plain.WriteTo(zw); err != nil {
		return err
	}
	if err := zw.Close(); err != nil {
		return err
	}

	epoch := time.Unix(0, 0).UTC()
	image, err := blobs.addJSON(imagespec.MediaTypeImageConfig, imagespec.Image{
		Created:  &epoch,
		Platform: imagespec.Platform{OS: "linux", Architecture: arch},
		Config:   config,
		RootFS:   imagespec.RootFS{Type: "layers", DiffIDs: []digest.Digest{diffID}},
	})
	if err != nil {
		return err
	}
	manifest, err := blobs.addJSON(imagespec.MediaTypeImageManifest, imagespec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: imagespec.MediaTypeImageManifest,
		Config:    image,
		Layers:    []imagespec.Descriptor{blobs.add(imagespec.MediaTypeImageLayerGzip, layer.Bytes())},
	})
	if err != nil {
		return err
	}
	manifest.Annotations = map[string]string{imagespec.AnnotationRefName: name}
	manifest.Platform = &imagespec.Platform{OS: "linux", Architecture: arch}
	if err := blobs.setJSON(imagespec.ImageIndexFile, imagespec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: imagespec.MediaTypeImageIndex,
		Manifests: []imagespec.Descriptor{manifest},
	}); err != nil {
		return err
	}
	if err := blobs.setJSON(imagespec.ImageLayoutFile, imagespec.ImageLayout{Version: imagespec.ImageLayoutVersion}); err != nil {
		return err
	}
	return blobs.writeTar(w)
}

// A layout is the files of an OCI image layout, by path.
type layout map[string][]byte

// add stores a blob and describes it.
func (l layout) add(mediaType string, b []byte) imagespec.Descriptor {
	d := digest.FromBytes(b)
	l[imagespec.ImageBlobsDir+"/"+d.Algorithm().String()+"/"+d.Encoded()] = b
	return imagespec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

func (l layout) addJSON(mediaType string, v any) (imagespec.Descriptor, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return imagespec.Descriptor{}, err
	}
	return l.add(mediaType, b), nil
}

func (l layout) setJSON(path string, v any) error {
	b, err := json.Marshal(v)
	l[path] = b
	return err
}

func (l layout) writeTar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(l)) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o644, Size: int64(len(l[path])), ModTime: time.Unix(0, 0)}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(l[path]); err != nil {
			return err
		}
	}
	return tw.Close()
}
