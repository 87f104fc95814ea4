package archive

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

// mesh returns an archive whose indexes lie in levels. Each index names all indexes of the next
// level, and those of the last name the image. So there are width^levels ways to the image.
func mesh(t *testing.T, width int, img ctrdtest.Image) []ctrdtest.File {
	next := []ocispec.Descriptor{img.Manifest}
	var files []ctrdtest.File
	for level := range maxIndexes {
		var here []ocispec.Descriptor
		for i := range width {
			body := ctrdtest.JSON(t, ocispec.Index{Manifests: next, Annotations: map[string]string{"n": string(rune('a'+level)) + string(rune('!'+i))}})
			d := describeBytes(ocispec.MediaTypeImageIndex, body)
			here = append(here, d)
			files = append(files, ctrdtest.File{Name: blobPath(d), Mode: 0o644, Body: body})
		}
		next = here
	}
	return append(files, ctrdtest.OCIFiles(t, ocispec.Index{Manifests: next}, img)...)
}

func open(t *testing.T, files []ctrdtest.File) *Archive {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(path, ctrdtest.Tar(t, files), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), Place{Path: path, kind: OCI}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// Indexes that name each other are each read once.
func TestOCIArchiveReadsEachDigestOnce(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	files := mesh(t, 15, img)
	a := open(t, files)
	got, err := a.OCIImage(t.Context(), amd64)
	if err != nil || got.Manifest.Digest != img.Manifest.Digest {
		t.Fatalf("%v, %v", got, err)
	}
	var all int64
	for _, f := range files {
		all += int64(len(f.Body))
	}
	if a.json > all {
		t.Errorf("read %d bytes of JSON of an archive with %d", a.json, all)
	}
}

// With 150 indexes in each level, a reader of every way reads 500 million of them.
func TestOCIArchiveBoundsWhatItNames(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	_, err := open(t, mesh(t, 150, img)).OCIImage(t.Context(), amd64)
	checkChoice(t, nil, err, "", "is damaged: its indexes name more than 1000 manifests")
}

func TestArchiveLimits(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	many := strings.TrimSuffix(strings.Repeat("{},", maxList+1), ",")
	var large []ocispec.Descriptor // names of one large index
	files := []ctrdtest.File{{Name: "large", Body: []byte(`{"x":"` + strings.Repeat("x", jsonLimit-100) + `"}`)}}
	for i := range 10 {
		d := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString(string(rune('a' + i)))}
		large = append(large, d)
		files = append(files, ctrdtest.File{Name: blobPath(d), Link: "../../large"})
	}
	inner := ctrdtest.JSON(t, ocispec.Manifest{Config: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("x")}})
	odd := describeBytes(ocispec.MediaTypeImageManifest, inner)
	odd.Platform = img.Manifest.Platform
	for _, tt := range []struct {
		name  string
		files []ctrdtest.File
		err   string
	}{
		{"a long list", []ctrdtest.File{{Name: "index.json", Body: []byte(`{"manifests":[` + many + `]}`)}}, "a list has more than 1000 elements"},
		{"no list", []ctrdtest.File{{Name: "index.json", Body: []byte(`{"manifests":{}}`)}}, "a list is expected"},
		{"one large index under many digests", append(files, ctrdtest.OCIFiles(t, ocispec.Index{Manifests: large})...), "have more than 64 MiB"},
		{
			"an index as a part of an image",
			append(ctrdtest.OCIFiles(t, ocispec.Index{Manifests: []ocispec.Descriptor{odd}}), ctrdtest.File{Name: blobPath(odd), Body: inner}),
			"as a part of an image",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := open(t, tt.files).OCIImage(t.Context(), amd64)
			checkChoice(t, nil, err, "", tt.err)
		})
	}
}

// All work on an archive ends with the caller.
func TestArchiveEndsWithItsContext(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	a := open(t, mesh(t, 2, img))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller is gone")
	cancel(gone)
	if _, err := a.OCIImage(ctx, amd64); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	if _, err := Open(ctx, Place{Path: a.Path, kind: OCI}, t.TempDir()); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
	docker := open(t, []ctrdtest.File{{Name: "l", Body: ctrdtest.Compress(t, img.Layers[0])}})
	if _, err := docker.dockerLayer(ctx, "l", digest.FromBytes(img.Layers[0]), map[string]digest.Digest{}); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

// A compressed layer that is named again is not read again.
func TestDockerLayerIsReadOnce(t *testing.T) {
	layer := ctrdtest.Compress(t, tinyImage(t, "amd64", "one").Layers[0])
	a := open(t, []ctrdtest.File{{Name: "l", Body: layer}, {Name: "m", Link: "l"}})
	known := map[string]digest.Digest{}
	for _, name := range []string{"l", "m"} {
		b, err := a.dockerLayer(t.Context(), name, digest.FromString("plain"), known)
		if err != nil || b.Desc.Digest != digest.FromBytes(layer) {
			t.Errorf("%v, %v", b.Desc, err)
		}
	}
	if len(known) != 1 {
		t.Errorf("read %v", known)
	}
}
