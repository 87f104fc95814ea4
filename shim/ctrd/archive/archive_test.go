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
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
)

var amd64 = platforms.Only(ocispec.Platform{OS: "linux", Architecture: "amd64"})

func TestOCIArchive(t *testing.T) {
	here := tinyImage(t, "amd64", "one")
	for _, tt := range []struct {
		name  string
		files []ctrdtest.File
		want  digest.Digest
		err   string // of a hint.Error
	}{
		{name: "one image", files: ctrdtest.OCIFiles(t, ctrdtest.Index(here), here), want: here.Manifest.Digest},
		{name: "paths with a dot", files: dotted(ctrdtest.OCIFiles(t, ctrdtest.Index(here), here)), want: here.Manifest.Digest},
		{
			name:  "platform only in the configuration",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(without(here)), here), want: here.Manifest.Digest,
		},
		{
			name:  "several platforms",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(tinyImage(t, "s390x", "a"), here), tinyImage(t, "s390x", "a"), here), want: here.Manifest.Digest,
		},
		{
			name:  "another platform's blobs left out",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(tinyImage(t, "s390x", "a"), here), here), want: here.Manifest.Digest,
		},
		{
			name:  "the same image under two names",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(named(here, "a:1"), named(here, "a:2")), here), want: here.Manifest.Digest,
		},
		{name: "an index in the index", files: nested(t, here), want: here.Manifest.Digest},
		{name: "an attestation beside it", files: ctrdtest.OCIFiles(t, ctrdtest.Index(attestation(t, here), here), here), want: here.Manifest.Digest},
		{
			name:  "no image for this platform",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(tinyImage(t, "s390x", "a"), tinyImage(t, "riscv64", "a")), tinyImage(t, "s390x", "a")),
			err:   "only for: linux/riscv64, linux/s390x",
		},
		{
			name:  "two images for this platform",
			files: ctrdtest.OCIFiles(t, ctrdtest.Index(named(here, "a:1"), named(tinyImage(t, "amd64", "two"), "b:1")), here, tinyImage(t, "amd64", "two")),
			err:   "has 2 images for this platform: a:1, b:1",
		},
		{name: "a layer is missing", files: lacking(t, here, layerDigest(t, here)), err: "is damaged: it has no blob sha256:" + layerDigest(t, here).Encoded()},
		{name: "the manifest is missing", files: lacking(t, here, here.Manifest.Digest), err: "is damaged: it has no blob sha256:" + here.Manifest.Digest.Encoded()},
		{name: "a layer of another size", files: resized(t, here), err: "its descriptor says"},
		{name: "no index", files: []ctrdtest.File{{Name: "x", Body: []byte("x")}}, err: "is no OCI archive: it has no index.json"},
		{name: "a docker archive", files: []ctrdtest.File{{Name: "manifest.json", Body: []byte("[]")}}, err: "is a docker archive, not an OCI one"},
		{name: "an index that isn't JSON", files: []ctrdtest.File{{Name: "index.json", Body: []byte("{")}}, err: "is damaged: index.json: unexpected end of JSON input"},
		{name: "a digest that isn't one", files: []ctrdtest.File{{Name: "index.json", Body: []byte(`{"manifests":[{"digest":"../../x"}]}`)}}, err: "is damaged: digest"},
		{name: "an index too big", files: []ctrdtest.File{{Name: "index.json", Body: make([]byte, jsonLimit+1)}}, err: "more than an index"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := chooseIn(t, ctrdtest.Tar(t, tt.files), (*Archive).OCIImage)
			checkChoice(t, img, err, tt.want, tt.err)
		})
	}
}

func TestDockerArchive(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	layer := img.Layers[0]
	config := ctrdtest.JSON(t, img.Config)
	foreign := ctrdtest.JSON(t, tinyImage(t, "s390x", "one").Config)
	files := func(layerBody, config []byte, manifest string, more ...ctrdtest.File) []ctrdtest.File {
		return append(more, ctrdtest.File{Name: "config.json", Body: config}, ctrdtest.File{Name: "1/layer.tar", Body: layerBody}, ctrdtest.File{Name: "manifest.json", Body: []byte(manifest)})
	}
	const one = `[{"Config":"config.json","RepoTags":["a:1"],"Layers":["1/layer.tar"]}]`
	for _, tt := range []struct {
		name  string
		files []ctrdtest.File
		layer digest.Digest
		err   string
	}{
		{name: "plain layer", files: files(layer, config, one), layer: digest.FromBytes(layer)},
		{name: "compressed layer", files: files(ctrdtest.Compress(t, layer), config, one), layer: digest.FromBytes(ctrdtest.Compress(t, layer))},
		{
			name: "layer behind a link",
			files: files(layer, config, `[{"Config":"config.json","Layers":["2/layer.tar"]}]`,
				ctrdtest.File{Name: "2/layer.tar", Link: "../1/layer.tar"}),
			layer: digest.FromBytes(layer),
		},
		{name: "links in a circle", files: files(layer, config, `[{"Config":"config.json","Layers":["2"]}]`, ctrdtest.File{Name: "2", Link: "2"}), err: "it has no 2"},
		{name: "two images", files: files(layer, config, `[{"Config":"config.json"},{"Config":"b.json","RepoTags":["b:1"]}]`), err: "has 2 images: @0, b:1"},
		{name: "no image", files: files(layer, config, `[]`), err: "it names no image"},
		{name: "layer missing", files: files(layer, config, `[{"Config":"config.json","Layers":["9/layer.tar"]}]`), err: "it has no 9/layer.tar"},
		{name: "layers and configuration disagree", files: files(layer, config, `[{"Config":"config.json"}]`), err: "it has 0 layers, its configuration names 1"},
		{name: "another platform", files: files(layer, foreign, one), err: "only for: linux/s390x"},
		{name: "an OCI archive", files: []ctrdtest.File{{Name: "index.json", Body: []byte("{}")}}, err: "is an OCI archive, not a docker one"},
		{name: "neither", files: nil, err: "is no docker archive: it has no manifest.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseIn(t, ctrdtest.Tar(t, tt.files), func(a *Archive, ctx context.Context, _ platforms.MatchComparer) (*Image, error) {
				return a.DockerImage(ctx, platforms.Default())
			})
			var want digest.Digest
			if got != nil {
				want = got.Manifest.Digest
				if diff := cmp.Diff([]digest.Digest{digest.FromBytes(config), tt.layer, want}, blobDigests(got)); diff != "" {
					t.Errorf("blobs (-want +got)\n%s", diff)
				}
			}
			checkChoice(t, got, err, want, tt.err)
		})
	}
}

func TestArchiveFileProblems(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	whole := ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(img), img))
	layer := img.LayerBlobs(t)[0]
	at := bytes.Index(whole, layer)
	for _, tt := range []struct {
		name string
		file []byte
		err  string
	}{
		{"cut inside a blob", whole[:at+7], "is cut short: blob " + layerDigest(t, img).String() + " has 7 of"},
		{"cut inside a header", whole[:100], "is cut short: it ends after 100 bytes"},
		{"cut after a blob", whole[:at+(len(layer)+511)/512*512], "is cut short: it ends before blob"},
		{"compressed with gzip, and cut", ctrdtest.Compress(t, whole)[:500], "is cut short: what is compressed in it has no end"},
		{"compressed with gzip, and no tar", ctrdtest.Compress(t, bytes.Repeat([]byte("x"), 1024)), "is damaged: not a tar archive"},
		{"compressed with zstd, and damaged", []byte("\x28\xb5\x2f\xfd...."), "is damaged: what is compressed in it"},
		{"compressed with xz", []byte("\xfd7zXZ\x00...."), "is compressed as a whole with xz"},
		{"not a tar", bytes.Repeat([]byte("x"), 1024), "not a tar archive"},
		{"empty", nil, "is no OCI archive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := chooseIn(t, tt.file, (*Archive).OCIImage)
			checkChoice(t, img, err, "", tt.err)
		})
	}
}

// A pipe at the path of an archive is refused, and opening it doesn't wait.
func TestArchiveIsNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.tar")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := Open(t.Context(), Place{Path: path, kind: OCI}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "it is a named pipe") {
		t.Errorf("archive %v, error %v", a, err)
	}
}

func TestCutArchiveIsAlwaysRefused(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	whole := ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(img), img))
	end := bytes.LastIndexFunc(whole, func(r rune) bool { return r != 0 })
	for n := 0; n < end; n += 61 {
		got, err := chooseIn(t, whole[:n], (*Archive).OCIImage)
		var p *hint.Error
		if got != nil || !errors.As(err, &p) {
			t.Errorf("%d of %d bytes: %v, %v", n, len(whole), got, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	img := tinyImage(f, "amd64", "one")
	f.Add(ctrdtest.Tar(f, ctrdtest.OCIFiles(f, ctrdtest.Index(img), img)))
	f.Add(ctrdtest.Tar(f, []ctrdtest.File{{Name: "manifest.json", Body: []byte(`[{"Config":"c","Layers":["l"]}]`)}, {Name: "c", Body: ctrdtest.JSON(f, img.Config)}, {Name: "l", Body: img.Layers[0]}}))
	f.Add(ctrdtest.Tar(f, nested(f, img)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, choose := range []func(*Archive, context.Context, platforms.MatchComparer) (*Image, error){(*Archive).OCIImage, (*Archive).DockerImage} {
			img, err := chooseIn(t, b, choose)
			if (img == nil) == (err == nil) {
				t.Errorf("%v, %v", img, err)
			}
		}
	})
}

// chooseIn opens a file with these bytes as an archive and chooses its image.
func chooseIn(t testing.TB, file []byte, choose func(*Archive, context.Context, platforms.MatchComparer) (*Image, error)) (*Image, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), Place{Path: path, kind: OCI}, t.TempDir())
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return choose(a, t.Context(), amd64)
}

func checkChoice(t *testing.T, img *Image, err error, want digest.Digest, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Fatal(err)
		}
		ids := blobDigests(img)
		if img.Manifest.Digest != want || ids[len(ids)-1] != want || len(ids) != 3 {
			t.Errorf("manifest %s of %v, want %s", img.Manifest.Digest, ids, want)
		}
		return
	}
	var p *hint.Error
	if !errors.As(err, &p) || !strings.Contains(err.Error(), text) || p.Hint == "" {
		t.Errorf("%v, want a problem with %q", err, text)
	}
}

func blobDigests(img *Image) []digest.Digest {
	var ids []digest.Digest
	for _, b := range img.Blobs {
		ids = append(ids, b.Desc.Digest)
	}
	return ids
}

// tinyImage has one layer with one small file.
func tinyImage(t testing.TB, arch, content string) ctrdtest.Image {
	cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}
	return ctrdtest.Build(t, cfg, ctrdtest.Tar(t, []ctrdtest.File{{Name: "file", Mode: 0o644, Body: []byte(content)}}))
}

func layerDigest(t testing.TB, img ctrdtest.Image) digest.Digest {
	return digest.FromBytes(img.LayerBlobs(t)[0])
}

// without leaves the platform out of the image's descriptor.
func without(img ctrdtest.Image) ctrdtest.Image {
	img.Manifest.Platform = nil
	return img
}

func named(img ctrdtest.Image, name string) ctrdtest.Image {
	img.Manifest.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	return img
}

func attestation(t testing.TB, of ctrdtest.Image) ctrdtest.Image {
	img := tinyImage(t, "unknown", "attestation")
	img.Manifest.Platform = nil
	img.Manifest.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.Manifest.Digest.String()}
	return img
}

// dotted writes every name as `tar c .` does.
func dotted(files []ctrdtest.File) []ctrdtest.File {
	for i := range files {
		files[i].Name = "./" + files[i].Name
	}
	return files
}

// nested puts the image's index into another.
func nested(t testing.TB, img ctrdtest.Image) []ctrdtest.File {
	inner := ctrdtest.JSON(t, ctrdtest.Index(img))
	d := describeBytes(ocispec.MediaTypeImageIndex, inner)
	files := ctrdtest.OCIFiles(t, ocispec.Index{Manifests: []ocispec.Descriptor{d}}, img)
	return append(files, ctrdtest.File{Name: blobPath(d), Mode: 0o644, Body: inner})
}

// lacking is the image's archive without one blob.
func lacking(t testing.TB, img ctrdtest.Image, id digest.Digest) []ctrdtest.File {
	var files []ctrdtest.File
	for _, f := range ctrdtest.OCIFiles(t, ctrdtest.Index(img), img) {
		if !strings.HasSuffix(f.Name, id.Encoded()) {
			files = append(files, f)
		}
	}
	return files
}

// resized is the image's archive with a byte too many in its layer.
func resized(t testing.TB, img ctrdtest.Image) []ctrdtest.File {
	files := ctrdtest.OCIFiles(t, ctrdtest.Index(img), img)
	for i, f := range files {
		if strings.HasSuffix(f.Name, layerDigest(t, img).Encoded()) {
			files[i].Body = append(bytes.Clone(f.Body), 0)
		}
	}
	return files
}

func TestDockerManifestIsValid(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	path := filepath.Join(t.TempDir(), "d.tar")
	ctrdtest.WriteDocker(t, path, img, "a:1")
	a, err := Open(t.Context(), Place{Path: path, kind: OCI}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	got, err := a.DockerImage(t.Context(), platforms.Default())
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.NewDecoder(got.Blobs[len(got.Blobs)-1].Bytes).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.MediaType != images.MediaTypeDockerSchema2Manifest || m.SchemaVersion != 2 || len(m.Layers) != 1 || m.Layers[0].Size != int64(len(img.Layers[0])) {
		t.Errorf("%+v", m)
	}
}
