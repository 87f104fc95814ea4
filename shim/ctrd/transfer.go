package ctrd

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/host"
)

// reportInterval is the time between two reports of a transfer to one caller.
const reportInterval = 250 * time.Millisecond

// A transfer counts the bytes of one pull or import. Its methods work on a nil transfer, too.
type transfer struct {
	began time.Time

	mu    sync.Mutex
	stage host.TransferStage // "": nothing is to be moved or unpacked
	first host.TransferStage // the first one that counts
	sizes map[digest.Digest]int64
	done  map[digest.Digest]int64
}

func newTransfer() *transfer {
	return &transfer{began: time.Now(), sizes: map[digest.Digest]int64{}, done: map[digest.Digest]int64{}}
}

type transferKey struct{}

// transferOf returns the transfer that the work with ctx belongs to. Nil means that none is
// counted.
func transferOf(ctx context.Context) *transfer {
	t, _ := ctx.Value(transferKey{}).(*transfer)
	return t
}

// enter sets what is done now. An empty stage means that the image was present already.
func (t *transfer) enter(stage host.TransferStage) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.stage == "" || stage == "" {
			t.first = stage
		}
		t.stage = stage
	}
}

// expect adds a blob to the whole, once.
func (t *transfer) expect(d ocispec.Descriptor) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.sizes[d.Digest] = d.Size
	}
}

// at records how much of a blob is done.
func (t *transfer) at(id digest.Digest, bytes int64) {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.done[id] = bytes
	}
}

// now returns how far the image is. ok is false if nothing had to be moved or unpacked so far.
func (t *transfer) now(image string) (now host.Transfer, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now = host.Transfer{Image: image, Stage: t.stage, Milliseconds: time.Since(t.began).Milliseconds()}
	for id, size := range t.sizes {
		now.Total += size
		now.Done += min(t.done[id], size)
	}
	return now, t.stage != ""
}

// A transferReport passes a transfer to one caller that waits for it.
type transferReport struct {
	image string
	to    func(host.Transfer) // nil: the caller wants none
	tick  *time.Ticker
	last  host.Transfer
}

// reportTo returns the report to the caller with ctx. It calls stop at the end.
func reportTo(ctx context.Context, image string) *transferReport {
	r := &transferReport{image: image, to: host.Transfers(ctx)}
	if r.to != nil {
		r.tick = time.NewTicker(reportInterval)
	}
	return r
}

// due has a time whenever the caller is to get a report.
func (r *transferReport) due() <-chan time.Time {
	if r.tick == nil {
		return nil
	}
	return r.tick.C
}

func (r *transferReport) stop() {
	if r.tick != nil {
		r.tick.Stop()
	}
}

// send reports how far the transfer is, if that has changed.
func (r *transferReport) send(t *transfer) {
	now, ok := t.now(r.image)
	same := now
	same.Milliseconds = r.last.Milliseconds
	if ok && same != r.last {
		r.last = now
		r.to(now)
	}
}

// end reports that the image is present, and what made it so. It reports nothing of an image that
// was present before, unless it has reported of it.
func (r *transferReport) end(t *transfer) {
	if r.to == nil {
		return
	}
	if now, ok := t.now(r.image); ok || r.last.Image != "" {
		now.Stage, now.Ended = t.first, true // the work has ended, so nothing changes it
		r.to(now)
	}
}

// A countingResolver counts what is fetched of an image.
type countingResolver struct {
	remotes.ResolverWithOptions
	to *transfer
}

func (r countingResolver) Fetcher(ctx context.Context, ref string) (remotes.Fetcher, error) {
	f, err := r.ResolverWithOptions.Fetcher(ctx, ref)
	if err != nil {
		return nil, err
	}
	return remotes.FetcherFunc(func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		blob, err := f.Fetch(ctx, d)
		if seeker, ok := blob.(io.ReadSeekCloser); ok && err == nil {
			return &countingBlob{ReadSeekCloser: seeker, id: d.Digest, to: r.to}, nil
		}
		return blob, err
	}), nil
}

// A countingBlob counts what is read of a blob. It seeks to where an earlier pull has ended.
type countingBlob struct {
	io.ReadSeekCloser
	id digest.Digest
	to *transfer
	at int64
}

func (b *countingBlob) Read(p []byte) (int, error) {
	n, err := b.ReadSeekCloser.Read(p)
	b.at += int64(n)
	b.to.at(b.id, b.at)
	return n, err
}

func (b *countingBlob) Seek(offset int64, whence int) (int64, error) {
	at, err := b.ReadSeekCloser.Seek(offset, whence)
	if err == nil {
		b.at = at
	}
	return at, err
}

// counted returns a handler that adds each blob of an image to the transfer. A blob that the inner
// handler has handled is on the host.
func (t *transfer) counted(inner images.Handler) images.Handler {
	return images.HandlerFunc(func(ctx context.Context, d ocispec.Descriptor) ([]ocispec.Descriptor, error) {
		t.expect(d)
		children, err := inner.Handle(ctx, d)
		if err != nil {
			return children, err
		}
		t.at(d.Digest, d.Size)
		for _, child := range children {
			t.expect(child)
		}
		return children, nil
	})
}
