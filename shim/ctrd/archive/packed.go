package archive

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/containerd/containerd/v2/pkg/archive/compression"
	"github.com/docker/go-units"
	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// maxWindow is how much memory a file of zstd may ask for. `zstd -19` needs 8 MiB, `--ultra -20`
// 32 MiB.
const maxWindow = 32 << 20

// unpacking holds one: two at once would take half of the disk each.
var unpacking = make(chan struct{}, 1)

// unpack makes a plain archive of one that is compressed as a whole: nothing in it could be found
// without reading all of it before. It takes at most half of what is free in the folder scratch, so
// a small file that unpacks to a huge one does not fill the disk.
func (a *Archive) unpack(ctx context.Context, scratch string) error {
	magic, err := firstBytes(a.tar)
	if err != nil {
		return Unreadable(a.Path, err)
	}
	if other := otherCompression(magic); other != "" {
		return &hint.Error{
			Err:  fmt.Errorf("archive %s is compressed as a whole with %s", a.Path, other),
			Hint: "unpack it first: " + map[string]string{"xz": "unxz", "bzip2": "bunzip2"}[other] + " " + a.Path,
		}
	}
	packed := untilDone{ctx, io.NewSectionReader(a.tar, 0, a.size)}
	var plain io.Reader
	switch compression.DetectCompression(magic) {
	case compression.Gzip:
		plain, err = gzip.NewReader(packed)
	case compression.Zstd:
		var d *zstd.Decoder
		if d, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow)); err == nil {
			defer d.Close()
			plain = d
		}
	default:
		return nil
	}
	if err != nil {
		return a.unpackProblem(ctx, err)
	}
	select {
	case unpacking <- struct{}{}:
		defer func() { <-unpacking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	f, n, err := a.spool(ctx, plain, scratch, "unpacks to more than")
	if err != nil {
		return err
	}
	a.tar, a.size = f, n
	return nil
}

// spool copies a stream to a nameless file in the folder scratch. It takes at most half of what is
// free there. The archive closes the file.
func (a *Archive) spool(ctx context.Context, from io.Reader, scratch, exceeds string) (*os.File, int64, error) {
	f, err := nameless(scratch)
	if err != nil {
		return nil, 0, fmt.Errorf("archive %s: unpack it: %w", a.Path, err)
	}
	a.close = append(a.close, f.Close)
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil {
		return nil, 0, fmt.Errorf("archive %s: unpack it: %w", a.Path, err)
	}
	most := int64(disk.Bavail) * disk.Bsize / 2
	n, err := io.Copy(f, io.LimitReader(from, most+1))
	if err != nil {
		return nil, 0, a.unpackProblem(ctx, err)
	}
	if n > most {
		return nil, 0, &hint.Error{
			Err:  fmt.Errorf("archive %s %s %s, half of what is free below %s", a.Path, exceeds, units.BytesSize(float64(most)), scratch),
			Hint: "make room, or unpack the archive elsewhere and name the unpacked one",
		}
	}
	return f, n, nil
}

// unpackProblem words why an archive can't be unpacked.
func (a *Archive) unpackProblem(ctx context.Context, err error) error {
	var path *os.PathError
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, unix.ENOSPC):
		return &hint.Error{Err: fmt.Errorf("archive %s: unpack it: %w", a.Path, unix.ENOSPC), Hint: "make room, or unpack the archive elsewhere and name the unpacked one"}
	case errors.As(err, &path): // of the archive, or of the file that is written
		return Unreadable(a.Path, err)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return a.cutShort(errors.New("what is compressed in it has no end"))
	case errors.Is(err, zstd.ErrWindowSizeExceeded):
		return &hint.Error{
			Err:  fmt.Errorf("archive %s needs more than %d MiB of memory to be unpacked", a.Path, maxWindow>>20),
			Hint: "unpack it first: unzstd --long=31 " + a.Path,
		}
	}
	return a.Damaged(fmt.Errorf("what is compressed in it: %w", err))
}

// nameless returns a new file in the folder that has no name, so that nothing is left of it when it
// is closed, or its process killed.
func nameless(folder string) (*os.File, error) {
	fd, err := unix.Open(folder, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), folder+"/(nameless)"), nil
	}
	f, err := os.CreateTemp(folder, ".unpacked-*") // a file system without O_TMPFILE
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
