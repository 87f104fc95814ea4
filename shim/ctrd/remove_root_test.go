package ctrd

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/pkg/namespaces"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"google.golang.org/grpc"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const mib = 1 << 20

// layerOf is a layer of one file, which packs badly.
func layerOf(t *testing.T, name string, size int) []byte {
	t.Helper()
	body := make([]byte, size)
	for seed, i := uint32(len(name)), 0; i < size; i++ {
		seed = seed*1664525 + 1013904223 + uint32(name[0])
		body[i] = byte(seed >> 24)
	}
	return ctrdtest.Tar(t, []ctrdtest.File{{Name: name, Mode: 0o644, Body: body}})
}

// archiveOf writes an archive with an image of these layers.
func archiveOf(t *testing.T, dir, name string, layers ...[]byte) (ref string, img ctrdtest.Image) {
	t.Helper()
	path := filepath.Join(dir, name+".tar")
	img = ctrdtest.Build(t, ocispec.Image{Platform: platforms.DefaultSpec(), Config: ocispec.ImageConfig{Cmd: []string{"/" + name}}}, layers...)
	ctrdtest.WriteOCI(t, path, img)
	return archive.OCIPrefix + path, img
}

func (c *Client) mustImages(t *testing.T) (found host.Images, byDigest map[string]host.ImageUsage) {
	t.Helper()
	found, err := c.Images(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	byDigest = map[string]host.ImageUsage{}
	for _, i := range found.All {
		byDigest[i.Digest] = i
	}
	return found, byDigest
}

func (c *Client) mustRemove(t *testing.T, img host.Image, want bool) {
	t.Helper()
	removed, err := c.RemoveImage(t.Context(), img.Digest, nil, func() bool { return false })
	if err != nil || removed != want {
		t.Errorf("removed %s: %t, error %v; want %t", img.Ref, removed, err, want)
	}
	if err := c.CollectImages(t.Context()); err != nil {
		t.Error(err)
	}
}

// blobs returns which of the blobs of an image containerd has in a namespace.
func (c *Client) blobs(t *testing.T, namespace string, img ctrdtest.Image) (n int) {
	t.Helper()
	ctx := namespaces.WithNamespace(t.Context(), namespace)
	for id := range img.Blobs {
		_, err := c.client.ContentStore().Info(ctx, id)
		if err == nil {
			n++
		} else if !errdefs.IsNotFound(err) {
			t.Fatal(err)
		}
	}
	return n
}

func TestRootRemovedImagesFreeTheirRoom(t *testing.T) {
	base, top, lone := layerOf(t, "base", mib), layerOf(t, "top", 2*mib), layerOf(t, "lone", mib)
	eachServer(t, func(t *testing.T, c *Client) {
		dir, ours := t.TempDir(), c.cfg.Layout.Namespace
		smallRef, smallParts := archiveOf(t, dir, "small", base)
		largeRef, largeParts := archiveOf(t, dir, "large", base, top)
		loneRef, loneParts := archiveOf(t, dir, "lone", lone)
		small, large := mustImage(t, c, smallRef), mustImage(t, c, largeRef)
		cfg := c.cfg
		cfg.Layout.Namespace = ours + "-other"
		other, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		mine, theirs := mustImage(t, c, loneRef), mustImage(t, other, loneRef)
		before, all := c.mustImages(t)
		if all[small.Digest].Kept != "" || !all[small.Digest].Unused.IsZero() || all[large.Digest].Own < 3*mib {
			t.Errorf("before: %+v", all)
		}

		// The shared layer stays with the image that is left, and all else of the other is gone.
		c.mustRemove(t, large, true)
		after, all := c.mustImages(t)
		if freed := before.Sizes[large.Digest]; len(after.All) != 2 || freed == 0 || after.Sizes[large.Digest] > 0 || after.Other > 0 {
			t.Errorf("after: %+v", after)
		}
		sum := func(found host.Images) (bytes uint64) {
			for _, size := range found.Sizes {
				bytes += size
			}
			return bytes
		}
		if freed := sum(before) - sum(after); freed < 3*mib || freed > 5*mib {
			t.Errorf("%d bytes are freed of a layer of 2 MiB, packed and unpacked", freed)
		}
		if n := c.blobs(t, ours, largeParts); n != 1 {
			t.Errorf("%d blobs are left of the removed image, want the shared layer", n)
		}
		if n := c.blobs(t, ours, smallParts); n != len(smallParts.Blobs) || all[small.Digest].Own < 2*mib {
			t.Errorf("%d of %d blobs are left of the other image, %+v", n, len(smallParts.Blobs), all[small.Digest])
		}
		checkUsable(t, c, small)
		if again := mustImage(t, c, largeRef); again != large {
			t.Errorf("imported again as %+v", again)
		}
		checkUsable(t, c, large)

		// Another namespace keeps its own.
		c.mustRemove(t, mine, true)
		if n, left := c.blobs(t, ours, loneParts), c.blobs(t, other.cfg.Layout.Namespace, loneParts); n > 0 || left != len(loneParts.Blobs) {
			t.Errorf("%d blobs are left in our namespace, %d in the other one", n, left)
		}
		checkUsable(t, other, theirs)
		other.mustRemove(t, theirs, true)
	})
}

// What a generation retains is not lost with its name, and neither is the image of a container. An
// operator's own images and containers are known as such.
func TestRootWhatIsUsedIsKept(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		dir := t.TempDir()
		ref, _ := archiveOf(t, dir, "held", layerOf(t, "held", mib))
		held := mustImage(t, c, ref)
		c.mustHold(t, "shop", 1, held)
		r := newHarness(t, c, busyboxArchive(t), script("web", spec.App, "sleep 1000"))
		r.run()
		c.mustRemove(t, held, true)
		c.mustRemove(t, r.image, true)
		_, all := c.mustImages(t)
		if got := all[held.Digest].Groups; !slices.Equal(got, []string{"shop"}) || !c.here(t, held) {
			t.Errorf("a retained image whose names are removed: %+v", all[held.Digest])
		}
		mustRestore(t, c, held)
		if s := r.state("web"); s.Task != host.TaskRunning {
			t.Errorf("the container is %s", s.Task)
		}

		// As "ctr images import" does it, "ctr images label" and "ctr run".
		record := func(name string, labels map[string]string, layer string) string {
			_, parts := archiveOf(t, dir, layer, layerOf(t, layer, 1024))
			byHand := mustImage(t, c, archive.OCIPrefix+filepath.Join(dir, layer+".tar"))
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			defer cancel()
			service := c.client.ImageService()
			if err := c.putImage(ctx, images.Image{Name: name, Target: parts.Manifest, Labels: labels}); err != nil {
				t.Fatal(err)
			}
			for _, ours := range []string{byHand.Name, byHand.Ref} {
				if err := service.Delete(ctx, ours); err != nil {
					t.Fatal(err)
				}
			}
			return byHand.Digest
		}
		brought := record("example.org/brought:1", nil, "brought")
		pinned := record("example.org/pinned:1", map[string]string{sourceLabel: "x", pinnedLabel: pinnedValue}, "pinned")
		pulled := record("example.org/pulled:1", map[string]string{sourceLabel: "x"}, "pulled")
		foreign := record("example.org/foreign:1", map[string]string{sourceLabel: "x"}, "foreign")
		alias := func(name, sum string) { // as "ctr images tag" does it
			t.Helper()
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			defer cancel()
			err := c.putImage(ctx, images.Image{Name: name, Target: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest(sum), Size: 1}})
			if err != nil {
				t.Fatal(err)
			}
		}
		aliased := record("example.org/aliased:1", map[string]string{sourceLabel: "x"}, "aliased")
		alias("example.org/mine:1", aliased)
		alias("example.org/foreign-too:1", foreign)
		alias("example.org/pinned-too:1", pinned)
		ctx, cancel := c.ctx(t.Context(), callTimeout)
		defer cancel()
		if _, err := c.client.NewContainer(ctx, "by-hand", containerd.WithNewSpec(), func(_ context.Context, _ *containerd.Client, r *containers.Container) error {
			r.Image = "example.org/foreign:1"
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		_, all = c.mustImages(t)
		for sum, want := range map[string]string{brought: host.KeptByHand, pinned: host.KeptPinned, pulled: "", foreign: host.KeptForeign, aliased: host.KeptByHand} {
			if got := all[sum]; got.Kept != want || got.Removable() != (want == "") {
				t.Errorf("%+v: kept %q, want %q", got.Names, got.Kept, want)
			}
		}
		// Once a group has used it, it is like any other.
		c.mustHold(t, "shop", 2, host.Image{Ref: "example.org/brought:1", Digest: brought})
		c.mustRelease(t, "shop", 2)
		if _, all = c.mustImages(t); !all[brought].Removable() {
			t.Errorf("after a group has used it: %+v", all[brought])
		}
	})
}

// Since when an image is unused is known after a start of the daemon and of containerd.
func TestRootMarksOfUnusedImages(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, _ := startServer(t, binary)
		ref, _ := archiveOf(t, t.TempDir(), "one", layerOf(t, "one", 1024))
		img := mustImage(t, c, ref)
		since := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
		for _, want := range []time.Time{since, since.Add(time.Hour), {}, since} {
			if err := c.MarkUnused(t.Context(), img.Digest, want); err != nil {
				t.Fatal(err)
			}
			next, err := New(c.cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, all := next.mustImages(t)
			if got := all[img.Digest].Unused; !got.Equal(want) {
				t.Errorf("unused since %s, want %s", got, want)
			}
			if err := next.Close(); err != nil {
				t.Error(err)
			}
			checkUsable(t, c, img)
		}
		if err := c.MarkUnused(t.Context(), img.Digest, time.Unix(40, 0)); err != nil { // by a clock that is not set yet
			t.Fatal(err)
		}
		if _, all := c.mustImages(t); !all[img.Digest].Unused.Equal(since) {
			t.Errorf("with a wrong clock: unused since %s, want %s as before", all[img.Digest].Unused, since)
		}
		if err := c.MarkUnused(t.Context(), digest.FromString("none").String(), since); err != nil {
			t.Errorf("an image that is not there: %v", err)
		}
	})
}

// A name that gets another image while the removal goes on stays with that image.
func TestRootANameThatMovesOnStays(t *testing.T) {
	ctrdtest.EachBinary(t, func(t *testing.T, binary string) {
		c, _ := startServer(t, binary)
		dir := t.TempDir()
		oldRef, oldParts := archiveOf(t, dir, "old", layerOf(t, "old", 1024))
		newRef, newParts := archiveOf(t, dir, "new", layerOf(t, "new", 1024))
		old, _ := mustImage(t, c, oldRef), mustImage(t, c, newRef)
		const name = "example.org/app:1"
		point := func(at ocispec.Descriptor) { // as "ctr images tag --force" does it
			t.Helper()
			ctx, cancel := c.ctx(t.Context(), callTimeout)
			defer cancel()
			if err := c.putImage(ctx, images.Image{Name: name, Target: at}); err != nil {
				t.Fatal(err)
			}
		}
		point(oldParts.Manifest)
		if removed, err := c.RemoveImage(t.Context(), old.Digest, nil, func() bool { point(newParts.Manifest); return false }); !removed || err != nil {
			t.Errorf("removed %t, error %v", removed, err)
		}
		_, all := c.mustImages(t)
		if _, stays := all[old.Digest]; stays || !slices.Contains(all[newParts.Manifest.Digest.String()].Names, name) {
			t.Errorf("the name has gone with the image that it had before: %+v", all)
		}
	})
}

// A daemon is killed between two names, or before the garbage is collected. The next one goes on.
func TestRootARemovalThatWasCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		ref, parts := archiveOf(t, t.TempDir(), "one", layerOf(t, "one", mib))
		img := mustImage(t, c, ref)
		ctx, cancel := c.ctx(t.Context(), callTimeout)
		defer cancel()
		for _, name := range []string{img.Name, ref} { // whichever went first
			if err := c.client.ImageService().Delete(ctx, name); err != nil {
				t.Fatal(err)
			}
			c.collect(t)
			_, all := c.mustImages(t)
			if got := all[img.Digest]; len(got.Names) != 1 || !got.Removable() || c.blobs(t, c.cfg.Layout.Namespace, parts) != len(parts.Blobs) {
				t.Errorf("without %s: %+v", name, got)
			}
			if again := mustImage(t, c, ref); again != img {
				t.Errorf("imported again as %+v", again)
			}
			checkUsable(t, c, img)
			c.mustRemove(t, img, true)
			c.mustRemove(t, img, false)
			if n := c.blobs(t, c.cfg.Layout.Namespace, parts); n > 0 {
				t.Errorf("%d blobs are left", n)
			}
			img = mustImage(t, c, ref)
		}
		if removed, err := c.RemoveImage(t.Context(), img.Digest, nil, func() bool { return false }); !removed || err != nil {
			t.Fatalf("removed %t, %v", removed, err)
		}
		if found, _ := c.mustImages(t); len(found.All) > 0 || found.Other < mib {
			t.Errorf("before its garbage is collected: %+v", found)
		}
		if err := c.CollectImages(t.Context()); err != nil {
			t.Fatal(err)
		}
		if found, _ := c.mustImages(t); found.Other > 0 {
			t.Errorf("%d bytes of garbage are left", found.Other)
		}
	})
}

// An image is removed again and again while groups begin to use it. None of them loses it, or has
// an error.
func TestRootRemovalsRaceWithUse(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		dir := t.TempDir()
		shared := layerOf(t, "shared", 64<<10)
		var refs []string
		for n := range 3 {
			ref, _ := archiveOf(t, dir, fmt.Sprint("image", n), shared, layerOf(t, fmt.Sprint(n, "own"), 64<<10))
			refs = append(refs, ref)
		}
		var users, remover sync.WaitGroup
		var ended atomic.Bool
		var removals atomic.Int64
		remover.Go(func() {
			for !ended.Load() {
				found, err := c.Images(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				for _, i := range found.All {
					if len(i.Groups) > 0 {
						continue
					}
					removed, err := c.RemoveImage(t.Context(), i.Digest, nil, func() bool { return false })
					if err != nil {
						t.Error(err)
					}
					if removed {
						removals.Add(1)
					}
				}
				if err := c.CollectImages(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		begun := time.Now()
		for n, ref := range refs {
			users.Go(func() {
				group := fmt.Sprint("g", n)
				for generation := 1; generation <= 12 || removals.Load() < 3 && time.Since(begun) < time.Minute; generation++ {
					release, err := c.Hold(t.Context(), ref, "")
					if err != nil {
						t.Error(err)
						return
					}
					img, err := c.Image(t.Context(), ref)
					if err == nil {
						err = c.Retain(t.Context(), group, generation, img)
					}
					release()
					if err == nil { // as a container is made of it
						ctx, cancel := c.ctx(t.Context(), callTimeout)
						var i containerd.Image
						if i, err = c.image(ctx, img); err == nil {
							_, _, err = c.imageConfig(ctx, i)
						}
						cancel()
					}
					if err != nil {
						t.Errorf("generation %d of %s: %v", generation, group, err)
					}
					if err := c.Release(t.Context(), group, generation); err != nil {
						t.Error(err)
					}
				}
			})
		}
		users.Wait()
		ended.Store(true)
		remover.Wait()
		if n := removals.Load(); n < 3 {
			t.Errorf("%d removals are too few to race with", n)
		}
	})
}

// A look at the images takes a few calls of containerd, however many images there are, once the
// sizes of their layers are known.
func TestRootALookAtTheImagesIsCheap(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		var calls atomic.Int64
		counted, err := containerd.New(c.cfg.Address, containerd.WithExtraDialOpts([]grpc.DialOption{
			grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				calls.Add(1)
				return invoke(ctx, method, req, reply, cc, opts...)
			}),
			grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, stream grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				calls.Add(1)
				return stream(ctx, desc, cc, method, opts...)
			}),
		}))
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		const number = 20
		for n := range number {
			ref, _ := archiveOf(t, dir, fmt.Sprint("image", n), layerOf(t, "base", 1024), layerOf(t, fmt.Sprint(n, "own"), 1024))
			mustImage(t, c, ref)
		}
		unwatched := c.client
		c.client = counted
		t.Cleanup(func() {
			c.client = unwatched
			if err := counted.Close(); err != nil {
				t.Error(err)
			}
		})
		for look, most := range []int64{number + 10, 8, 8} {
			calls.Store(0)
			begun := time.Now()
			if found, _ := c.mustImages(t); len(found.All) != number {
				t.Errorf("%d images", len(found.All))
			}
			t.Logf("look %d: %d calls in %s", look, calls.Load(), time.Since(begun))
			if n := calls.Load(); n > most {
				t.Errorf("look %d at %d images takes %d calls, want at most %d", look, number, n, most)
			}
		}
	})
}
