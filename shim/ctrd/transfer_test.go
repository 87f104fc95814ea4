package ctrd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/host"
)

// reports collects the transfers that calls with the returned context report.
func reports(ctx context.Context) (_ context.Context, all func() []string) {
	var mu sync.Mutex
	var seen []string
	ctx = host.WithTransfers(ctx, func(t host.Transfer) {
		mu.Lock()
		defer mu.Unlock()
		text := fmt.Sprintf("%s %s %d/%d", t.Stage, t.Image, t.Done, t.Total)
		if t.Ended {
			text += " ended"
		}
		seen = append(seen, text)
	})
	return ctx, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// Each caller that waits for a pull gets reports of it, also the one that came later, and not more
// than four a second. Nothing that is the same is reported twice.
func TestTransferReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := ocispec.Descriptor{Digest: digest.FromString("blob"), Size: 1000}
		var f sharedPulls
		work := func(ctx context.Context) (host.Image, error) {
			moved := transferOf(ctx)
			time.Sleep(1005 * time.Millisecond) // nothing is to be moved yet, and no report is due when it moves
			moved.enter(host.Pulling)
			moved.expect(blob)
			for at := range int64(101) {
				moved.at(blob.Digest, 10*at)
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(time.Minute)
			moved.enter(host.Unpacking)
			time.Sleep(time.Second)
			return host.Image{Name: "a"}, nil
		}
		var wg sync.WaitGroup
		first, firsts := reports(t.Context())
		second, seconds := reports(t.Context())
		for i, ctx := range []context.Context{first, second, t.Context()} {
			wg.Go(func() {
				time.Sleep(time.Duration(i) * 30 * time.Second)
				if _, err := f.do(ctx, "a@1", "a", work); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := []string{"pull a 240/1000", "pull a 490/1000", "pull a 740/1000", "pull a 990/1000", "pull a 1000/1000", "unpack a 1000/1000", "pull a 1000/1000 ended"}
		if diff := cmp.Diff(want, firsts()); diff != "" {
			t.Errorf("the first caller (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want[4:], seconds()); diff != "" {
			t.Errorf("the second caller (-want +got):\n%s", diff)
		}
	})
}

// An image that is present is not reported, and one that turns out to be present ends without a
// stage.
func TestTransferOfAPresentImage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f sharedPulls
		for _, tt := range []struct {
			name string
			work func(*transfer)
			want []string
		}{
			{"present", func(*transfer) { time.Sleep(time.Minute) }, nil},
			{"found in an archive", func(moved *transfer) {
				moved.enter(host.Importing)
				time.Sleep(time.Second)
				moved.enter("")
			}, []string{"import a 0/0", " a 0/0 ended"}},
			{"found at once", func(moved *transfer) {
				moved.enter(host.Importing)
				moved.enter("")
			}, nil},
			{"only unpacked", func(moved *transfer) { moved.enter(host.Unpacking) }, []string{"unpack a 0/0 ended"}},
		} {
			ctx, seen := reports(t.Context())
			_, err := f.do(ctx, "a", "a", func(ctx context.Context) (host.Image, error) {
				tt.work(transferOf(ctx))
				return host.Image{}, nil
			})
			if diff := cmp.Diff(tt.want, seen()); diff != "" || err != nil {
				t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
			}
		}
		ctx, seen := reports(t.Context())
		_, err := f.do(ctx, "a", "a", func(ctx context.Context) (host.Image, error) {
			transferOf(ctx).enter(host.Pulling)
			return host.Image{}, io.ErrUnexpectedEOF
		})
		if len(seen()) > 0 || err == nil {
			t.Errorf("a pull that fails: %v, reports %q", err, seen())
		}
	})
}

// A fakeResolver fetches one blob.
type fakeResolver struct {
	remotes.ResolverWithOptions
	blob []byte
}

func (r fakeResolver) Fetcher(context.Context, string) (remotes.Fetcher, error) {
	return remotes.FetcherFunc(func(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
		return struct {
			io.ReadSeeker
			io.Closer
		}{bytes.NewReader(r.blob), io.NopCloser(nil)}, nil
	}), nil
}

// What an earlier pull has fetched counts: the pull seeks to it.
func TestCountingResolver(t *testing.T) {
	blob := []byte(strings.Repeat("x", 1000))
	d := ocispec.Descriptor{Digest: digest.FromBytes(blob), Size: 1000}
	moved := newTransfer()
	moved.enter(host.Pulling)
	moved.expect(d)
	f, err := countingResolver{fakeResolver{blob: blob}, moved}.Fetcher(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Fetch(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.(io.Seeker).Seek(600, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int64{700, 800} {
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if now, _ := moved.now("a"); now.Done != want || now.Total != 1000 {
			t.Errorf("done %d of %d, want %d", now.Done, now.Total, want)
		}
	}
}

func TestRootTransfers(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		checkEnd := func(name, ref string, stage host.TransferStage, img ctrdtest.Image) {
			t.Helper()
			size := 0
			for _, b := range img.Blobs {
				size += len(b)
			}
			ctx, seen := reports(t.Context())
			if _, err := c.Image(ctx, ref); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := fmt.Sprintf("%s %s %d/%d ended", stage, ref, size, size)
			if all := seen(); len(all) == 0 || all[len(all)-1] != want {
				t.Errorf("%s: reports %q, want the last one to be %q", name, all, want)
			}
			ctx, seen = reports(t.Context())
			if _, err := c.Image(ctx, ref); err != nil || len(seen()) > 0 {
				t.Errorf("%s, when it is present: %v, reports %q", name, err, seen())
			}
		}
		img := busyboxImage(t, withEnv("IMPORT=1"))
		path := filepath.Join(t.TempDir(), "a.tar")
		ctrdtest.WriteOCI(t, path, img)
		checkEnd("an import", archive.OCIPrefix+path, host.Importing, img)

		registry := startRegistry(t)
		img = busyboxImage(t, withEnv("PULL=1"))
		push(t, registry, "busybox", "1", img)
		checkEnd("a pull, of which some is there", registry+"/busybox:1", host.Pulling, img)
	})
}
