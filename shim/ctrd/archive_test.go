package ctrd

import (
	"bytes"
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

	"github.com/sallyport/sallyport/shim"
)

var amd64 = platforms.Only(ocispec.Platform{OS: "linux", Architecture: "amd64"})

func TestOCIArchive(t *testing.T) {
	here := tinyImage(t, "amd64", "one")
	for _, tt := range []struct {
		name  string
		files []tarFile
		want  digest.Digest
		err   string // of a Problem
	}{
		{name: "one image", files: ociFiles(t, index(here), here), want: here.manifest.Digest},
		{name: "paths with a dot", files: dotted(ociFiles(t, index(here), here)), want: here.manifest.Digest},
		{
			name:  "platform only in the configuration",
			files: ociFiles(t, index(without(here)), here), want: here.manifest.Digest,
		},
		{
			name:  "several platforms",
			files: ociFiles(t, index(tinyImage(t, "s390x", "a"), here), tinyImage(t, "s390x", "a"), here), want: here.manifest.Digest,
		},
		{
			name:  "another platform's blobs left out",
			files: ociFiles(t, index(tinyImage(t, "s390x", "a"), here), here), want: here.manifest.Digest,
		},
		{
			name:  "the same image under two names",
			files: ociFiles(t, index(named(here, "a:1"), named(here, "a:2")), here), want: here.manifest.Digest,
		},
		{name: "an index in the index", files: nested(t, here), want: here.manifest.Digest},
		{name: "an attestation beside it", files: ociFiles(t, index(attestation(t, here), here), here), want: here.manifest.Digest},
		{
			name:  "no image for this platform",
			files: ociFiles(t, index(tinyImage(t, "s390x", "a"), tinyImage(t, "riscv64", "a")), tinyImage(t, "s390x", "a")),
			err:   "only for: linux/riscv64, linux/s390x",
		},
		{
			name:  "two images for this platform",
			files: ociFiles(t, index(named(here, "a:1"), named(tinyImage(t, "amd64", "two"), "b:1")), here, tinyImage(t, "amd64", "two")),
			err:   "has 2 images for this platform: a:1 sha256:",
		},
		{name: "a layer is missing", files: lacking(t, here, here.layerDigest(t)), err: "is damaged: it has no blob sha256:" + here.layerDigest(t).Encoded()},
		{name: "the manifest is missing", files: lacking(t, here, here.manifest.Digest), err: "is damaged: it has no blob sha256:" + here.manifest.Digest.Encoded()},
		{name: "a layer of another size", files: resized(t, here), err: "its descriptor says"},
		{name: "no index", files: []tarFile{{name: "x", body: []byte("x")}}, err: "is no OCI archive: it has no index.json"},
		{name: "a docker archive", files: []tarFile{{name: "manifest.json", body: []byte("[]")}}, err: "is a docker archive, not an OCI one"},
		{name: "an index that isn't JSON", files: []tarFile{{name: "index.json", body: []byte("{")}}, err: "is damaged: index.json: unexpected end of JSON input"},
		{name: "a digest that isn't one", files: []tarFile{{name: "index.json", body: []byte(`{"manifests":[{"digest":"../../x"}]}`)}}, err: "is damaged: digest"},
		{name: "an index too big", files: []tarFile{{name: "index.json", body: make([]byte, jsonLimit+1)}}, err: "more than an index"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := chooseIn(t, writeTar(t, tt.files), (*archive).ociImage)
			checkChoice(t, img, err, tt.want, tt.err)
		})
	}
}

func TestDockerArchive(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	layer := img.layers[0]
	config := encoded(t, img.config)
	foreign := encoded(t, tinyImage(t, "s390x", "one").config)
	files := func(layerBody, config []byte, manifest string, more ...tarFile) []tarFile {
		return append(more, tarFile{name: "config.json", body: config}, tarFile{name: "1/layer.tar", body: layerBody}, tarFile{name: "manifest.json", body: []byte(manifest)})
	}
	const one = `[{"Config":"config.json","RepoTags":["a:1"],"Layers":["1/layer.tar"]}]`
	for _, tt := range []struct {
		name  string
		files []tarFile
		layer digest.Digest
		err   string
	}{
		{name: "plain layer", files: files(layer, config, one), layer: digest.FromBytes(layer)},
		{name: "compressed layer", files: files(compressed(t, layer), config, one), layer: digest.FromBytes(compressed(t, layer))},
		{
			name: "layer behind a link",
			files: files(layer, config, `[{"Config":"config.json","Layers":["2/layer.tar"]}]`,
				tarFile{name: "2/layer.tar", link: "../1/layer.tar"}),
			layer: digest.FromBytes(layer),
		},
		{name: "links in a circle", files: files(layer, config, `[{"Config":"config.json","Layers":["2"]}]`, tarFile{name: "2", link: "2"}), err: "it has no 2"},
		{name: "two images", files: files(layer, config, `[{"Config":"config.json"},{"Config":"b.json","RepoTags":["b:1"]}]`), err: "has 2 images: config.json, b.json b:1"},
		{name: "no image", files: files(layer, config, `[]`), err: "it names no image"},
		{name: "layer missing", files: files(layer, config, `[{"Config":"config.json","Layers":["9/layer.tar"]}]`), err: "it has no 9/layer.tar"},
		{name: "layers and configuration disagree", files: files(layer, config, `[{"Config":"config.json"}]`), err: "it has 0 layers, its configuration names 1"},
		{name: "another platform", files: files(layer, foreign, one), err: "only for: linux/s390x"},
		{name: "an OCI archive", files: []tarFile{{name: "index.json", body: []byte("{}")}}, err: "is an OCI archive, not a docker one"},
		{name: "neither", files: nil, err: "is no docker archive: it has no manifest.json"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := chooseIn(t, writeTar(t, tt.files), func(a *archive, _ platforms.MatchComparer) (*archivedImage, error) {
				return a.dockerImage(platforms.Default())
			})
			var want digest.Digest
			if got != nil {
				want = got.manifest.Digest
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
	whole := writeTar(t, ociFiles(t, index(img), img))
	layer := img.layerBlobs(t)[0]
	at := bytes.Index(whole, layer)
	for _, tt := range []struct {
		name string
		file []byte
		err  string
	}{
		{"cut inside a blob", whole[:at+7], "is cut short: blob " + img.layerDigest(t).String() + " has 7 of"},
		{"cut inside a header", whole[:100], "is cut short: it ends after 100 bytes"},
		{"cut after a blob", whole[:at+(len(layer)+511)/512*512], "is cut short: it ends before blob"},
		{"compressed with gzip", compressed(t, whole), "is compressed as a whole"},
		{"compressed with zstd", []byte("\x28\xb5\x2f\xfd...."), "is compressed as a whole"},
		{"not a tar", bytes.Repeat([]byte("x"), 1024), "not a tar archive"},
		{"empty", nil, "is no OCI archive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, err := chooseIn(t, tt.file, (*archive).ociImage)
			checkChoice(t, img, err, "", tt.err)
		})
	}
}

// Wherever an archive is cut, it is refused, as a problem, before anything is imported.
func TestArchiveIsNoPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe.tar")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := openArchive(path); err == nil || !strings.Contains(err.Error(), "regular file") {
		t.Errorf("archive %v, error %v", a, err)
	}
}

func TestCutArchiveIsAlwaysRefused(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	whole := writeTar(t, ociFiles(t, index(img), img))
	end := bytes.LastIndexFunc(whole, func(r rune) bool { return r != 0 })
	for n := 0; n < end; n += 61 {
		got, err := chooseIn(t, whole[:n], (*archive).ociImage)
		var p *shim.Problem
		if got != nil || !errors.As(err, &p) {
			t.Errorf("%d of %d bytes: %v, %v", n, len(whole), got, err)
		}
	}
}

func FuzzArchive(f *testing.F) {
	img := tinyImage(f, "amd64", "one")
	f.Add(writeTar(f, ociFiles(f, index(img), img)))
	f.Add(writeTar(f, []tarFile{{name: "manifest.json", body: []byte(`[{"Config":"c","Layers":["l"]}]`)}, {name: "c", body: encoded(f, img.config)}, {name: "l", body: img.layers[0]}}))
	f.Add(writeTar(f, nested(f, img)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, choose := range []func(*archive, platforms.MatchComparer) (*archivedImage, error){(*archive).ociImage, (*archive).dockerImage} {
			img, err := chooseIn(t, b, choose)
			if (img == nil) == (err == nil) {
				t.Errorf("%v, %v", img, err)
			}
		}
	})
}

// chooseIn opens a file with these bytes as an archive and chooses its image.
func chooseIn(t testing.TB, file []byte, choose func(*archive, platforms.MatchComparer) (*archivedImage, error)) (*archivedImage, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.tar")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(path)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	return choose(a, amd64)
}

func checkChoice(t *testing.T, img *archivedImage, err error, want digest.Digest, text string) {
	t.Helper()
	if text == "" {
		if err != nil {
			t.Fatal(err)
		}
		ids := blobDigests(img)
		if img.manifest.Digest != want || ids[len(ids)-1] != want || len(ids) != 3 {
			t.Errorf("manifest %s of %v, want %s", img.manifest.Digest, ids, want)
		}
		return
	}
	var p *shim.Problem
	if !errors.As(err, &p) || !strings.Contains(err.Error(), text) || p.Hint == "" {
		t.Errorf("%v, want a problem with %q", err, text)
	}
}

func blobDigests(img *archivedImage) []digest.Digest {
	var ids []digest.Digest
	for _, b := range img.blobs {
		ids = append(ids, b.desc.Digest)
	}
	return ids
}

// tinyImage has one layer with one small file.
func tinyImage(t testing.TB, arch, content string) builtImage {
	cfg := ocispec.Image{Platform: ocispec.Platform{OS: "linux", Architecture: arch}}
	return buildImage(t, cfg, writeTar(t, []tarFile{{name: "file", mode: 0o644, body: []byte(content)}}))
}

func (img builtImage) layerDigest(t testing.TB) digest.Digest {
	return digest.FromBytes(img.layerBlobs(t)[0])
}

// without leaves the platform out of the image's descriptor.
func without(img builtImage) builtImage {
	img.manifest.Platform = nil
	return img
}

func named(img builtImage, name string) builtImage {
	img.manifest.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	return img
}

func attestation(t testing.TB, of builtImage) builtImage {
	img := tinyImage(t, "unknown", "attestation")
	img.manifest.Platform = nil
	img.manifest.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": of.manifest.Digest.String()}
	return img
}

// dotted writes every name as `tar c .` does.
func dotted(files []tarFile) []tarFile {
	for i := range files {
		files[i].name = "./" + files[i].name
	}
	return files
}

// nested puts the image's index into another.
func nested(t testing.TB, img builtImage) []tarFile {
	inner := encoded(t, index(img))
	d := describeBytes(ocispec.MediaTypeImageIndex, inner)
	files := ociFiles(t, ocispec.Index{Manifests: []ocispec.Descriptor{d}}, img)
	return append(files, tarFile{name: blobPath(d), mode: 0o644, body: inner})
}

// lacking is the image's archive without one blob.
func lacking(t testing.TB, img builtImage, id digest.Digest) []tarFile {
	var files []tarFile
	for _, f := range ociFiles(t, index(img), img) {
		if !strings.HasSuffix(f.name, id.Encoded()) {
			files = append(files, f)
		}
	}
	return files
}

// resized is the image's archive with a byte too many in its layer.
func resized(t testing.TB, img builtImage) []tarFile {
	files := ociFiles(t, index(img), img)
	for i, f := range files {
		if strings.HasSuffix(f.name, img.layerDigest(t).Encoded()) {
			files[i].body = append(bytes.Clone(f.body), 0)
		}
	}
	return files
}

func TestDockerManifestIsValid(t *testing.T) {
	img := tinyImage(t, runtime.GOARCH, "one")
	path := filepath.Join(t.TempDir(), "d.tar")
	writeDocker(t, path, img, "a:1")
	a, err := openArchive(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	got, err := a.dockerImage(platforms.Default())
	if err != nil {
		t.Fatal(err)
	}
	var m ocispec.Manifest
	if err := json.NewDecoder(got.blobs[len(got.blobs)-1].bytes).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.MediaType != images.MediaTypeDockerSchema2Manifest || m.SchemaVersion != 2 || len(m.Layers) != 1 || m.Layers[0].Size != int64(len(img.layers[0])) {
		t.Errorf("%+v", m)
	}
}
