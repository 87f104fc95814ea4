package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/platforms"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
)

// Each way in which a tool has written an image to a file is read.
func TestArchivesOfEveryEra(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	config := ctrdtest.JSON(t, img.Config)
	plain, gz, zst := img.Layers[0], ctrdtest.Compress(t, img.Layers[0]), ctrdtest.CompressZstd(t, img.Layers[0])
	manifest := func(config, layer string) ctrdtest.File {
		return ctrdtest.File{Name: "manifest.json", Body: []byte(`[{"Config":"` + config + `","RepoTags":["app:1"],"Layers":["` + layer + `"]}]`)}
	}
	at := func(b []byte) string { return "blobs/sha256/" + digest.FromBytes(b).Encoded() }
	withBlobs := func(layer []byte) []ctrdtest.File {
		return []ctrdtest.File{
			{Name: "oci-layout", Body: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {Name: "index.json", Body: ctrdtest.JSON(t, ctrdtest.Index(img))},
			{Name: at(config), Body: config}, {Name: at(layer), Body: layer}, manifest(at(config), at(layer)),
		}
	}
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, tt := range []struct {
		name    string
		files   []ctrdtest.File
		layer   []byte
		types   []string // media types of manifest, configuration and layer
		problem string
	}{
		{"docker before 1.10", []ctrdtest.File{{Name: "repositories", Body: []byte("{}")}, {Name: id + "/layer.tar", Body: plain}}, nil, nil, "was written by docker before 1.10"},
		{"docker 1.10", []ctrdtest.File{
			{Name: id + "/VERSION", Body: []byte("1.0")}, {Name: id + "/json", Body: []byte("{}")}, {Name: id + "/layer.tar", Body: plain},
			{Name: id + ".json", Body: config}, manifest(id+".json", id+"/layer.tar"), {Name: "repositories", Body: []byte("{}")},
		}, plain, dockerTypes(""), ""},
		{"podman and skopeo", []ctrdtest.File{
			{Name: id + ".tar", Body: plain}, {Name: "x/layer.tar", Link: "../" + id + ".tar"},
			{Name: id + ".json", Body: config}, manifest(id+".json", "x/layer.tar"),
		}, plain, dockerTypes(""), ""},
		{"docker 25", withBlobs(plain), plain, dockerTypes(""), ""},
		{"docker 29 or buildx, gzip", withBlobs(gz), gz, dockerTypes(".gzip"), ""},
		{"docker 29, zstd", withBlobs(zst), zst, []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerZstd}, ""},
		{"zstd under a name of gzip", []ctrdtest.File{{Name: "c", Body: config}, {Name: "l.tar.gz", Body: zst}, manifest("c", "l.tar.gz")}, zst, nil, ""},
		{"xz", []ctrdtest.File{{Name: "c", Body: config}, {Name: "l", Body: []byte("\xfd7zXZ\x00....")}, manifest("c", "l")}, nil, nil, "has a layer that is compressed with xz: l"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseIn(t, ctrdtest.Tar(t, tt.files), dockerHere)
			if tt.problem != "" {
				checkChoice(t, got, err, "", tt.problem)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]digest.Digest{digest.FromBytes(config), digest.FromBytes(tt.layer), got.Manifest.Digest}, blobDigests(got)); diff != "" {
				t.Errorf("blobs (-want +got)\n%s", diff)
			}
			if types := mediaTypes(t, got); tt.types != nil && !cmp.Equal(tt.types, types) {
				t.Errorf("media types %v, want %v", types, tt.types)
			}
		})
	}
}

// dockerTypes are the media types of docker's manifest, its configuration and a layer.
func dockerTypes(compressed string) []string {
	return []string{images.MediaTypeDockerSchema2Manifest, images.MediaTypeDockerSchema2Config, images.MediaTypeDockerSchema2Layer + compressed}
}

func dockerHere(a *Archive, ctx context.Context, _ platforms.MatchComparer) (*Image, error) {
	return a.DockerImage(ctx, platforms.Default())
}

// mediaTypes returns those of a manifest and what it names, after checking that the image's blobs
// have the same.
func mediaTypes(t *testing.T, img *Image) []string {
	t.Helper()
	var m ocispec.Manifest
	if err := json.NewDecoder(img.Blobs[len(img.Blobs)-1].Bytes).Decode(&m); err != nil {
		t.Fatal(err)
	}
	types := []string{m.MediaType}
	for i, d := range append([]ocispec.Descriptor{m.Config}, m.Layers...) {
		if b := img.Blobs[i].Desc; b.MediaType != d.MediaType || b.Digest != d.Digest {
			t.Errorf("blob %+v, named as %+v", b, d)
		}
		types = append(types, d.MediaType)
	}
	return types
}

// A layer whose manifest calls it plain, and that is compressed, gets its right media type. Where
// containerd finds out by itself, the manifest stays as it is.
func TestOCILayersAreToldByTheirContent(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	zst := ctrdtest.CompressZstd(t, img.Layers[0])
	for _, tt := range []struct {
		name, says string
		layer      []byte
		want       string
	}{
		{"zstd as gzip", ocispec.MediaTypeImageLayerGzip, zst, ""},
		{"plain as gzip", ocispec.MediaTypeImageLayerGzip, img.Layers[0], ""},
		{"zstd as plain", ocispec.MediaTypeImageLayer, zst, ocispec.MediaTypeImageLayerZstd},
		{"gzip as plain", ocispec.MediaTypeImageLayer, ctrdtest.Compress(t, img.Layers[0]), ocispec.MediaTypeImageLayerGzip},
		{"plain", ocispec.MediaTypeImageLayer, img.Layers[0], ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := ctrdtest.Retyped(t, img, tt.says, tt.layer)
			got, err := chooseIn(t, ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(said), said)), (*Archive).OCIImage)
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				if got.Manifest.Digest != said.Manifest.Digest {
					t.Errorf("manifest %s, want the archive's, %s", got.Manifest.Digest, said.Manifest.Digest)
				}
				return
			}
			want := []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, tt.want}
			if types := mediaTypes(t, got); !cmp.Equal(want, types) {
				t.Errorf("media types %v, want %v", types, want)
			}
			if last := got.Blobs[len(got.Blobs)-1].Desc; last.Digest != got.Manifest.Digest || last.Size != got.Manifest.Size {
				t.Errorf("manifest %+v as blob %+v", got.Manifest, last)
			}
		})
	}
}

// An archive that is compressed as a whole is the image that the plain one is.
func TestCompressedArchive(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	whole := ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(img), img))
	for name, packed := range map[string][]byte{
		"gzip": ctrdtest.Compress(t, whole), "zstd": ctrdtest.CompressZstd(t, whole),
		"two members": append(ctrdtest.Compress(t, whole[:700]), ctrdtest.Compress(t, whole[700:])...),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := chooseIn(t, packed, (*Archive).OCIImage)
			checkChoice(t, got, err, img.Manifest.Digest, "")
		})
	}
	wide := zstdFrame(t, 64<<20, bytes.Repeat([]byte("sallyport"), 1<<18)) // asks for 64 MiB of memory
	_, err := chooseIn(t, wide, (*Archive).OCIImage)
	checkChoice(t, nil, err, "", "needs more than 32 MiB of memory to be unpacked")
}

func zstdFrame(t *testing.T, window int, b []byte) []byte {
	t.Helper()
	var z bytes.Buffer
	w, err := zstd.NewWriter(&z, zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
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

// A small file that unpacks to a large one does not fill the disk, and nothing of it stays.
func TestRootCompressedArchiveIsBounded(t *testing.T) {
	ctrdtest.NeedRoot(t)
	scratch := t.TempDir()
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "size=8m"); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(scratch, unix.MNT_DETACH)
	path := filepath.Join(t.TempDir(), "bomb.tar.gz")
	for size, want := range map[int]string{5 << 20: "unpacks to more than 4MiB, half of what is free below " + scratch, 3 << 20: "not a tar archive"} {
		if err := os.WriteFile(path, ctrdtest.Compress(t, bytes.Repeat([]byte("x"), size)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Open(t.Context(), Place{Path: path, kind: OCI}, scratch)
		checkChoice(t, nil, err, "", want)
		if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
			t.Errorf("left: %v, %v", left, err)
		}
	}
}

// Unpacking ends with the caller.
func TestCompressedArchiveEndsWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(path, ctrdtest.Compress(t, make([]byte, 1<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the caller is gone")
	cancel(gone)
	a := &Archive{Path: path, tar: bytes.NewReader(ctrdtest.Compress(t, make([]byte, 1<<20))), size: 1 << 20}
	if err := a.unpack(ctx, t.TempDir()); !errors.Is(err, gone) {
		t.Errorf("error %v", err)
	}
}

// One of several images is chosen by its name, as docker completes it, or by its position.
func TestNamedImages(t *testing.T) {
	one, two := tinyImage(t, runtime.GOARCH, "one"), tinyImage(t, runtime.GOARCH, "two")
	other := tinyImage(t, "s390x", "one")
	var files []ctrdtest.File
	for i, img := range []ctrdtest.Image{one, two} {
		name := string(rune('a' + i))
		files = append(files, ctrdtest.File{Name: name + ".json", Body: ctrdtest.JSON(t, img.Config)}, ctrdtest.File{Name: name + ".tar", Body: img.Layers[0]})
	}
	docker := ctrdtest.Tar(t, append(files, ctrdtest.File{Name: "manifest.json", Body: []byte(`[
		{"Config":"a.json","RepoTags":["app:1","registry.example/app:1"],"Layers":["a.tar"]},
		{"Config":"b.json","RepoTags":["web:latest"],"Layers":["b.tar"]},
		{"Config":"b.json","RepoTags":["web:2"],"Layers":["b.tar"]},
		{"Config":"a.json","Layers":["a.tar"]}]`)}))
	both := named(other, "app:1")
	both.Manifest.Annotations[images.AnnotationImageName] = "docker.io/library/app:1"
	oci := ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(both, named(one, "app:1"), named(two, "web"), named(one, "again:3"), two), one, two, other))
	for _, tt := range []struct {
		file   string
		name   string
		layer  []byte
		err    string
		advice string
	}{
		{file: "docker", name: "app:1", layer: one.Layers[0]},
		{file: "docker", name: "docker.io/library/app:1", layer: one.Layers[0]},
		{file: "docker", name: "registry.example/app:1", layer: one.Layers[0]},
		{file: "docker", name: "web", layer: two.Layers[0]},
		{file: "docker", name: "@1", layer: two.Layers[0]},
		{file: "docker", name: "@3", layer: one.Layers[0]},
		{file: "docker", name: "", err: "has 2 images: app:1, web:latest", advice: `name one behind the path: "a.tar:app:1"`},
		{file: "docker", name: "app:2", err: `has no image "app:2", only: app:1, web:latest, web:2, @3`},
		{file: "docker", name: "@4", err: `has no image "@4"`},
		{file: "docker", name: "@x", err: `has no image "@x"`},
		{file: "oci", name: "app:1", layer: one.Layers[0]},
		{file: "oci", name: "again:3", layer: one.Layers[0]},
		{file: "oci", name: "web", layer: two.Layers[0]},
		{file: "oci", name: "@4", layer: two.Layers[0]},
		{file: "oci", name: "", err: "has 2 images for this platform: app:1, web", advice: `name one behind the path: "a.tar:app:1"`},
		{file: "oci", name: "@0", err: "only for: linux/s390x"},
		{file: "oci", name: "app:2", err: `has no image "app:2", only: docker.io/library/app:1, app:1, web`},
	} {
		t.Run(tt.file+" "+tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			place, choose := Place{Path: path, Name: tt.name, kind: Docker}, dockerHere
			body := docker
			if tt.file == "oci" {
				body = oci
				choose = (*Archive).OCIImage
			}
			if err := os.WriteFile(path, body, 0o600); err != nil {
				t.Fatal(err)
			}
			a, err := Open(t.Context(), place, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			got, err := choose(a, t.Context(), platforms.Default())
			if tt.err != "" {
				checkChoice(t, nil, err, "", tt.err)
				if tt.advice != "" && hint.Of(err) != tt.advice {
					t.Errorf("hint %q, want %q", hint.Of(err), tt.advice)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var m ocispec.Manifest
			if err := json.NewDecoder(got.Blobs[len(got.Blobs)-1].Bytes).Decode(&m); err != nil {
				t.Fatal(err)
			}
			want := digest.FromBytes(tt.layer)
			if tt.file == "oci" {
				want = digest.FromBytes(ctrdtest.Compress(t, tt.layer))
			}
			if m.Layers[0].Digest != want {
				t.Errorf("layer %s, want %s", m.Layers[0].Digest, want)
			}
		})
	}
}

// An error with the names of an archive is bounded, and no terminal acts on it.
func TestNamesOfAnArchiveAreBounded(t *testing.T) {
	var all []entry
	for i := range maxNamed {
		all = append(all, entry{names: []string{"\x1b[31m" + strings.Repeat(string(rune('a'+i%26)), 1000+i)}, positions: []int{i}})
	}
	if text := shown(all); len(text) > 30*hint.Short || strings.ContainsRune(text, '\x1b') || !strings.HasSuffix(text, " more") {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func TestOCIFolder(t *testing.T) {
	one, two := named(tinyImage(t, "amd64", "one"), "app:1"), named(tinyImage(t, "amd64", "two"), "web:1")
	folder := filepath.Join(t.TempDir(), "with:colon")
	for _, f := range ctrdtest.OCIFiles(t, ctrdtest.Index(one, two), one, two) {
		path := filepath.Join(folder, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, f.Body, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	choose := func(where string) (*Image, error) {
		at, err := Locate(t.Context(), OCIFolder, where)
		if err != nil {
			return nil, err
		}
		a, err := Open(t.Context(), at, t.TempDir())
		if err != nil {
			return nil, err
		}
		t.Cleanup(func() { a.Close() })
		if a.Stamp != at.Stamp || at.Stamp == "" {
			t.Errorf("stamps %q and %q", a.Stamp, at.Stamp)
		}
		return a.OCIImage(t.Context(), amd64)
	}
	got, err := choose(folder + ":web:1")
	checkChoice(t, got, err, two.Manifest.Digest, "")
	if err == nil {
		b := got.Blobs[1]
		if id, err := digest.FromReader(b.Bytes); id != b.Desc.Digest || err != nil {
			t.Errorf("layer %s, %v", id, err)
		}
	}
	_, err = choose(folder)
	checkChoice(t, nil, err, "", "has 2 images for this platform: app:1, web:1")
	_, err = choose(filepath.Join(folder, "index.json"))
	checkChoice(t, nil, err, "", "is no folder")
	_, err = Locate(t.Context(), OCI, folder+":web:1")
	checkChoice(t, nil, err, "", "it is a folder")
	if want := OCIFolderPrefix + folder + ":web:1"; !strings.Contains(hint.Of(err), want) {
		t.Errorf("hint %q, want %q", hint.Of(err), want)
	}

	// A layer that is a link to a file elsewhere is not read.
	layer := filepath.Join(folder, blobPath(ocispec.Descriptor{Digest: layerDigest(t, one)}))
	elsewhere := filepath.Join(t.TempDir(), "layer")
	if err := errors.Join(os.Rename(layer, elsewhere), os.Symlink(elsewhere, layer)); err != nil {
		t.Fatal(err)
	}
	if _, err = choose(folder + ":app:1"); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("error %v", err)
	}
	if err := os.Remove(layer); err != nil {
		t.Fatal(err)
	}
	_, err = choose(folder + ":app:1")
	checkChoice(t, nil, err, "", "is damaged: it has no blob sha256:")
	if err := os.Remove(filepath.Join(folder, "index.json")); err != nil {
		t.Fatal(err)
	}
	at, err := Locate(t.Context(), OCIFolder, folder)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), at, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.OCIImage(t.Context(), amd64)
	checkChoice(t, nil, err, "", "is no OCI archive: it has no index.json")
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.tar", "b:1.tar", "b"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for where, want := range map[string]string{
		"a.tar":     "a.tar ",
		"a.tar:app": "a.tar app",
		"a.tar:registry.example:5000/a:1@sha256:" + strings.Repeat("0", 64): "a.tar registry.example:5000/a:1@sha256:" + strings.Repeat("0", 64),
		"b:1.tar":                          "b:1.tar ",
		"b:1.tar:app:1":                    "b:1.tar app:1",
		"b:2.tar":                          "b 2.tar",
		"none.tar:app:1":                   "no none.tar",
		"none" + strings.Repeat(":", 1000): "no none" + strings.Repeat(":", 1000-maxColons),
		"a.tar/x":                          "no a.tar/x",
	} {
		at, err := Locate(t.Context(), Docker, filepath.Join(dir, where))
		got := strings.TrimPrefix(at.Path, dir+"/") + " " + at.Name
		if err != nil {
			_, after, _ := strings.Cut(err.Error(), dir+"/")
			got = "no " + strings.TrimSuffix(after, ": no such file or directory")
		}
		if got != want {
			t.Errorf("%s: %q, want %q", where, got, want)
		}
	}
}
