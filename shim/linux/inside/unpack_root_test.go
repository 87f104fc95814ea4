package inside

import (
	"archive/tar"
	"errors"
	"io"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/linux/quota"
	"github.com/sallyport/sallyport/shim/linux/quota/quotatest"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// A copy passes no bound on disk. The control is a copy by root itself, which ext4 bounds by
// nothing.
func TestRootUnpackIsBounded(t *testing.T) {
	quotatest.Each(t, func(t *testing.T, d *quotatest.FileSystem) {
		const bound = 4 << 20
		data := d.Folder(t, "data")
		if err := quota.Bound(t.Context(), bound, data); err != nil {
			t.Fatal(err)
		}
		for _, owner := range []*Owner{{}, {1000, 2000}, nil} {
			r, w := io.Pipe()
			go func() {
				stream := tar.NewWriter(w)
				err := stream.WriteHeader(&tar.Header{Name: "file", Typeflag: tar.TypeReg, Mode: 0o600, Size: 2 * bound})
				if err == nil {
					_, err = io.Copy(stream, io.LimitReader(zeros{}, 2*bound))
				}
				_ = w.CloseWithError(errors.Join(err, stream.Close()))
			}()
			done, err := openTest(t, data).Unpack(t.Context(), r, UnpackRequest{Path: "/", Owner: owner})
			_ = r.Close()
			switch {
			case owner == nil && t.Name() == "TestRootUnpackIsBounded/ext4":
				if err != nil {
					t.Errorf("the control: %v", err)
				}
			case !errors.Is(err, unix.EDQUOT) && !errors.Is(err, unix.ENOSPC) || done.Bytes > bound:
				t.Errorf("%+v: %d bytes, %v", owner, done.Bytes, err)
			}
		}
	})
}
