package archive

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

// withNames returns the image as index.json has it, with annotations.
func withNames(img ctrdtest.Image, full, ref string) ctrdtest.Image {
	img.Manifest.Annotations = map[string]string{}
	for key, name := range map[string]string{images.AnnotationImageName: full, ocispec.AnnotationRefName: ref} {
		if name != "" {
			img.Manifest.Annotations[key] = name
		}
	}
	return img
}

// indexed returns the files of an archive whose index.json names indexes of images, each with a
// name.
func indexed(t *testing.T, indexes map[string][]ctrdtest.Image, blobs ...ctrdtest.Image) []ctrdtest.File {
	t.Helper()
	var outer ocispec.Index
	var more []ctrdtest.File
	for _, name := range []string{"app:1", "app:2"} {
		if len(indexes[name]) == 0 {
			continue
		}
		inner := ctrdtest.JSON(t, ctrdtest.Index(indexes[name]...))
		d := describeBytes(ocispec.MediaTypeImageIndex, inner)
		d.Annotations = map[string]string{images.AnnotationImageName: name, ocispec.AnnotationRefName: strings.TrimPrefix(name, "app:")}
		outer.Manifests = append(outer.Manifests, d)
		more = append(more, ctrdtest.File{Name: blobPath(d), Mode: 0o644, Body: inner})
	}
	return append(ctrdtest.OCIFiles(t, outer, blobs...), more...)
}

// Each image of an archive comes with its names, and with the digest that its registry has.
func TestImages(t *testing.T) {
	one, two, foreign := tinyImage(t, "amd64", "one"), tinyImage(t, "amd64", "two"), tinyImage(t, "s390x", "one")
	both := []ctrdtest.Image{foreign, one}
	index := func(images ...ctrdtest.Image) string {
		return describeBytes("", ctrdtest.JSON(t, ctrdtest.Index(images...))).Digest.String()
	}
	docker := func(entries string) []ctrdtest.File {
		return []ctrdtest.File{
			{Name: "one.json", Body: ctrdtest.JSON(t, one.Config)}, {Name: "1.tar", Body: one.Layers[0]},
			{Name: "two.json", Body: ctrdtest.JSON(t, two.Config)}, {Name: "2.tar", Body: two.Layers[0]},
			{Name: "foreign.json", Body: ctrdtest.JSON(t, foreign.Config)}, {Name: "manifest.json", Body: []byte(entries)},
		}
	}
	for _, tt := range []struct {
		name, meant string
		files       []ctrdtest.File
		want        []string // names, and the digest or the platforms
		err         string
	}{
		{name: "one with a name", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "", "localhost/app:1")), one), want: []string{"localhost/app:1 " + one.Manifest.Digest.String()}},
		{name: "a tag is no name", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "", "1.0")), one), want: []string{"(1.0) " + one.Manifest.Digest.String()}},
		{name: "the full name beside the tag", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "docker.io/library/app:1", "1")), one), want: []string{"docker.io/library/app:1 " + one.Manifest.Digest.String()}},
		{
			name: "a digest is no name", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "app@"+two.Manifest.Digest.String(), "")), one),
			want: []string{"(app@" + two.Manifest.Digest.String() + ") " + one.Manifest.Digest.String()},
		},
		{name: "no reference", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "UPPER:1", "")), one), want: []string{"(UPPER:1) " + one.Manifest.Digest.String()}},
		{
			name: "two names", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "app:1", ""), withNames(one, "app:latest", "")), one),
			want: []string{"docker.io/library/app:1 docker.io/library/app:latest " + one.Manifest.Digest.String()},
		},
		{
			name: "several platforms of one name", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(foreign, "app:1", ""), withNames(one, "app:1", "")), one, foreign),
			want: []string{"docker.io/library/app:1 " + one.Manifest.Digest.String()},
		},
		{name: "an index, with one platform in the archive", files: indexed(t, map[string][]ctrdtest.Image{"app:1": both}, one), want: []string{"docker.io/library/app:1 " + index(both...)}},
		{
			name: "two indexes with the same image", files: indexed(t, map[string][]ctrdtest.Image{"app:1": both, "app:2": {one}}, one),
			want: []string{"docker.io/library/app:1 " + index(both...), "docker.io/library/app:2 " + index(one)},
		},
		{
			name: "one of two", meant: "app:2", files: indexed(t, map[string][]ctrdtest.Image{"app:1": both, "app:2": {two}}, one, two),
			want: []string{"docker.io/library/app:2 " + index(two)},
		},
		{name: "another platform", files: indexed(t, map[string][]ctrdtest.Image{"app:1": {foreign}, "app:2": {two}}, foreign, two), want: []string{"docker.io/library/app:1 only linux/s390x", "docker.io/library/app:2 " + index(two)}},
		{name: "two without a name", files: ctrdtest.OCIFiles(t, ctrdtest.Index(one, two), one, two), err: "has 2 images for this platform: @0, @1"},
		{name: "none of that name", meant: "other:1", files: ctrdtest.OCIFiles(t, ctrdtest.Index(withNames(one, "app:1", "")), one), err: `has no image "other:1", only: app:1`},
		{name: "the index is missing", files: indexed(t, map[string][]ctrdtest.Image{"app:1": both}, one)[:4], err: "it has no blob"},
		{
			name:  "docker, with several images",
			files: docker(`[{"Config":"one.json","RepoTags":["app:1","app:latest"],"Layers":["1.tar"]},{"Config":"two.json","RepoTags":["b:2"],"Layers":["2.tar"]},{"Config":"foreign.json","RepoTags":["c:3"],"Layers":["1.tar"]}]`),
			want:  []string{"docker.io/library/app:1 docker.io/library/app:latest docker", "docker.io/library/b:2 docker", "docker.io/library/c:3 only linux/s390x"},
		},
		{name: "docker, without a name", files: docker(`[{"Config":"one.json","RepoTags":null,"Layers":["1.tar"]}]`), want: []string{"(@0) docker"}},
		{name: "docker names in an archive that is both", files: append(ctrdtest.OCIFiles(t, ctrdtest.Index(one), one), docker(`[{"Config":"one.json","RepoTags":["app:1"],"Layers":["1.tar"]}]`)...), want: []string{"docker.io/library/app:1 docker"}},
		{name: "neither", files: []ctrdtest.File{{Name: "x"}}, err: "is neither a docker nor an OCI archive"},
		{name: "no image", files: ctrdtest.OCIFiles(t, ocispec.Index{}), err: "it names no image"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			if err := os.WriteFile(path, ctrdtest.Compress(t, ctrdtest.Tar(t, tt.files)), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			a, err := OpenStream(t.Context(), f, "a.tar", t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			a.name = tt.meant
			all, err := a.Images(t.Context(), amd64)
			checkProblemText(t, err, tt.err)
			var got []string
			for _, n := range all {
				got = append(got, text(t, n))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func checkProblemText(t *testing.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

// text returns the names of an image, and its digest or the platforms that it is for.
func text(t *testing.T, n Named) string {
	t.Helper()
	names := strings.Join(n.Names, " ")
	if names == "" {
		names = "(" + n.Shown + ")"
	}
	switch {
	case n.Image == nil:
		return names + " only " + n.Only
	case strings.Contains(n.Image.Manifest.MediaType, "docker"):
		return names + " docker"
	}
	root := n.Image.Blobs[len(n.Image.Blobs)-1] // the manifest, or the index above it
	var in struct{ Manifests []ocispec.Descriptor }
	if err := json.NewDecoder(root.Bytes).Decode(&in); err != nil || root.Desc.Digest != n.Image.Root.Digest {
		t.Errorf("the last blob is %v, and the root %v, %v", root.Desc.Digest, n.Image.Root.Digest, err)
	}
	if len(in.Manifests) > 0 && n.Image.Root.Digest == n.Image.Manifest.Digest {
		t.Error("the index is not the root")
	}
	return fmt.Sprintf("%s %s", names, n.Image.Root.Digest)
}

// A stream is kept below the folder scratch, and nothing is left there.
func TestStreamLeavesNothing(t *testing.T) {
	scratch := t.TempDir()
	a, err := OpenStream(t.Context(), strings.NewReader("no archive"), "standard input", scratch)
	if err == nil || a != nil || !strings.Contains(err.Error(), "archive standard input is") {
		t.Errorf("%v, %v", a, err)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func FuzzImages(f *testing.F) {
	img := tinyImage(f, "amd64", "one")
	f.Add(ctrdtest.Tar(f, ctrdtest.OCIFiles(f, ctrdtest.Index(withNames(img, "app:1", "1")), img)))
	f.Add(ctrdtest.Tar(f, nested(f, img)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := OpenStream(t.Context(), strings.NewReader(string(b)), "a.tar", t.TempDir())
		if err != nil {
			return
		}
		defer a.Close()
		if all, err := a.Images(t.Context(), amd64); (len(all) == 0) == (err == nil) {
			t.Errorf("%v, %v", all, err)
		}
	})
}
