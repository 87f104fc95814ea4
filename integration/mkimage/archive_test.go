package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	digest "github.com/opencontainers/go-digest"
	imagespec "github.com/opencontainers/image-spec/specs-go/v1"
)

var testConfig = imagespec.ImageConfig{User: "65532:65532", Entrypoint: []string{"/web"}, Cmd: []string{"serve"}, StopSignal: "SIGUSR1"}

func testTree() *tree {
	t := newTree()
	t.add("/web", 0o755, []byte("program"))
	t.addLink("/bin/also-web", "../web")
	return t
}

func TestArchiveIsALayoutOfWhatWentIn(t *testing.T) {
	var b bytes.Buffer
	if err := writeArchive(&b, "web", "arm64", testTree(), testConfig); err != nil {
		t.Fatal(err)
	}
	files := untar(t, &b)

	var index imagespec.Index
	decode(t, files["index.json"], &index)
	if len(index.Manifests) != 1 {
		t.Fatalf("index has %d manifests, want 1", len(index.Manifests))
	}
	if got := index.Manifests[0].Annotations[imagespec.AnnotationRefName]; got != "web" {
		t.Errorf("reference is %q, want web", got)
	}
	var manifest imagespec.Manifest
	decode(t, blob(t, files, index.Manifests[0]), &manifest)
	var image imagespec.Image
	decode(t, blob(t, files, manifest.Config), &image)
	if got := index.Manifests[0].Platform; got.Architecture != "arm64" || image.Architecture != "arm64" {
		t.Errorf("the index has %s and the image %s, want arm64", got.Architecture, image.Architecture)
	}
	if diff := cmp.Diff(testConfig, image.Config); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if len(manifest.Layers) != 1 || len(image.RootFS.DiffIDs) != 1 {
		t.Fatalf("%d layers and %d diff ids, want one of each", len(manifest.Layers), len(image.RootFS.DiffIDs))
	}
	zr, err := gzip.NewReader(bytes.NewReader(blob(t, files, manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(plain); got != image.RootFS.DiffIDs[0] {
		t.Errorf("diff id is %s, the layer's content is %s", image.RootFS.DiffIDs[0], got)
	}
}

func TestArchiveIsTheSameEveryTime(t *testing.T) {
	var a, b bytes.Buffer
	if err := writeArchive(&a, "web", "arm64", testTree(), testConfig); err != nil {
		t.Fatal(err)
	}
	if err := writeArchive(&b, "web", "arm64", testTree(), testConfig); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two archives of the same tree differ")
	}
}

func TestLayerListing(t *testing.T) {
	var b bytes.Buffer
	if err := testTree().writeTar(&b); err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for r := tar.NewReader(&b); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 0 {
			t.Errorf("%s: owner %d:%d, time %v; want root and the epoch", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		got.WriteString(h.FileInfo().Mode().String() + " " + h.Name)
		if h.Linkname != "" {
			got.WriteString(" -> " + h.Linkname)
		}
		got.WriteString("\n")
	}
	want := `drwxr-xr-x bin/
Lrwxrwxrwx bin/also-web -> ../web
drwxr-xr-x etc/
-rw-r--r-- etc/group
-rw-r--r-- etc/passwd
dtrwxrwxrwx tmp/
-rwxr-xr-x web
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("layer (-want +got):\n%s", diff)
	}
}

func untar(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
	}
}

// blob returns what a descriptor names, after a check of its digest.
func blob(t *testing.T, files map[string][]byte, d imagespec.Descriptor) []byte {
	t.Helper()
	b, ok := files["blobs/sha256/"+d.Digest.Encoded()]
	if !ok || digest.FromBytes(b) != d.Digest || int64(len(b)) != d.Size {
		t.Fatalf("blob %s is missing or not what its name and size say", d.Digest)
	}
	return b
}

func decode(t *testing.T, b []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		t.Fatal(err)
	}
}
