package ctrd

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// busyboxArchive builds an OCI archive with busybox as its one program, and gives its absolute path. Its command is
// /bin/sh, and it has links for the programs that tests run.
func busyboxArchive(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busybox.tar")
	writeOCI(t, path, busyboxImage(t))
	return path
}

// busyboxImage is the image of busyboxArchive, changed by edits.
func busyboxImage(t testing.TB, edits ...func(*ocispec.Image)) builtImage {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		missing(t, "busybox-static is not installed")
	}
	files := []tarFile{{name: "bin/", mode: 0o755}, {name: "tmp/", mode: 0o1777}, {name: "etc/", mode: 0o755}, {name: "bin/busybox", mode: 0o755, body: busybox}}
	for _, name := range []string{"sh", "sleep", "cat", "id", "true", "false", "echo", "nc", "wget", "ls", "kill", "touch", "env", "pwd", "mount", "stat", "dd", "ps"} {
		files = append(files, tarFile{name: "bin/" + name, link: "busybox"})
	}
	files = append(files,
		tarFile{name: "etc/passwd", mode: 0o644, body: []byte("root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n")},
		tarFile{name: "etc/group", mode: 0o644, body: []byte("root:x:0:\nweb:x:1000:\nlogs:x:2000:web\n")})
	cfg := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	return buildImage(t, cfg, writeTar(t, files))
}

// A builtImage is a manifest and its blobs.
type builtImage struct {
	config   ocispec.Image
	manifest ocispec.Descriptor
	blobs    map[digest.Digest][]byte
	layers   [][]byte // as plain tars
}

// buildImage makes an image of plain tars, which it compresses.
func buildImage(t testing.TB, cfg ocispec.Image, layers ...[]byte) builtImage {
	t.Helper()
	img := builtImage{blobs: map[digest.Digest][]byte{}, layers: layers}
	put := func(mediaType string, b []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(b), Size: int64(len(b))}
		img.blobs[d.Digest] = b
		return d
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
	cfg.RootFS = ocispec.RootFS{Type: "layers"}
	for _, l := range layers {
		m.Layers = append(m.Layers, put(ocispec.MediaTypeImageLayerGzip, compressed(t, l)))
		cfg.RootFS.DiffIDs = append(cfg.RootFS.DiffIDs, digest.FromBytes(l))
	}
	m.Config = put(ocispec.MediaTypeImageConfig, encoded(t, cfg))
	img.config = cfg
	img.manifest = put(ocispec.MediaTypeImageManifest, encoded(t, m))
	img.manifest.Platform = &cfg.Platform
	return img
}

// index is an index of images, as index.json has it.
func index(images ...builtImage) ocispec.Index {
	idx := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, img := range images {
		idx.Manifests = append(idx.Manifests, img.manifest)
	}
	return idx
}

// writeOCI writes an OCI archive of the images.
func writeOCI(t testing.TB, path string, images ...builtImage) {
	t.Helper()
	writeFile(t, path, writeTar(t, ociFiles(t, index(images...), images...)))
}

// ociFiles are the files of an OCI archive with this index and all blobs of these images.
func ociFiles(t testing.TB, index ocispec.Index, images ...builtImage) []tarFile {
	t.Helper()
	files := []tarFile{
		{name: "oci-layout", mode: 0o644, body: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		{name: "index.json", mode: 0o644, body: encoded(t, index)},
	}
	for _, img := range images {
		for _, dgst := range slices.Sorted(maps.Keys(img.blobs)) {
			files = append(files, tarFile{name: "blobs/sha256/" + dgst.Encoded(), mode: 0o644, body: img.blobs[dgst]})
		}
	}
	return files
}

// writeDocker writes an archive as `docker save` did for long: plain layers, and a manifest.json.
func writeDocker(t testing.TB, path string, img builtImage, tags ...string) {
	t.Helper()
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	e := entry{Config: "config.json", RepoTags: tags}
	files := []tarFile{{name: "config.json", mode: 0o644, body: encoded(t, img.config)}}
	for i, l := range img.layers {
		name := fmt.Sprintf("%d/layer.tar", i)
		e.Layers = append(e.Layers, name)
		files = append(files, tarFile{name: name, mode: 0o644, body: l})
	}
	files = append(files, tarFile{name: "manifest.json", mode: 0o644, body: encoded(t, []entry{e})})
	writeFile(t, path, writeTar(t, files))
}

// A tarFile is one entry: a folder if its name ends in a slash, a symbolic link if link is set, else a file.
type tarFile struct {
	name string
	mode int64
	link string
	body []byte
}

func writeTar(t testing.TB, files []tarFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Mode: f.mode, Typeflag: tar.TypeReg, Size: int64(len(f.body)), ModTime: time.Unix(1e9, 0)}
		switch {
		case f.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, f.link
		case strings.HasSuffix(f.name, "/"):
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func compressed(t testing.TB, b []byte) []byte {
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

func encoded(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// layerBlobs are the compressed layers, for a test to spoil.
func (img builtImage) layerBlobs(t testing.TB) [][]byte {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(img.blobs[img.manifest.Digest], &m); err != nil {
		t.Fatal(err)
	}
	var bs [][]byte
	for _, l := range m.Layers {
		bs = append(bs, img.blobs[l.Digest])
	}
	return bs
}
