package inside

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// An earlier copy may have brought a link. The next copy to its name does not follow it, to a file,
// to a folder or to nothing. With Follow it does, which is the control.
func TestUnpackToALink(t *testing.T) {
	for name, target := range map[string]string{"a file": "outside/file", "a folder": "outside", "nothing": "outside/new"} {
		for _, follow := range []bool{false, true} {
			src, dst := t.TempDir(), t.TempDir()
			there := map[string]string{"outside/": "", "outside/file": "old", "link": "->" + target}
			lay(t, src, map[string]string{"link": "new"})
			lay(t, dst, there)
			var stream bytes.Buffer
			if _, err := openTest(t, src).Pack(t.Context(), &stream, "/link", nil); err != nil {
				t.Fatal(err)
			}
			_, err := openTest(t, dst).Unpack(t.Context(), &stream, UnpackRequest{Path: "/link", Follow: follow})
			if errors.Is(err, errLink) == follow || follow && err != nil {
				t.Errorf("%s, follow %v: %v", name, follow, err)
			}
			if same := cmp.Equal(there, laid(t, dst)); same == follow {
				t.Errorf("%s, follow %v: %v", name, follow, laid(t, dst))
			}
		}
	}
	dst := t.TempDir()
	lay(t, dst, map[string]string{"folder/": "", "link": "->folder"})
	if _, err := openTest(t, dst).Unpack(t.Context(), bytes.NewReader(make([]byte, 1024)), UnpackRequest{Path: "/link/"}); err != nil {
		t.Errorf("a link to a folder, with a slash: %v", err)
	}
}

// sparse returns a stream of one file that is one hole.
func sparse(size uint64) []byte {
	header := make([]byte, 512)
	copy(header, "hole")
	copy(header[100:], "0000644\x000000000\x000000000\x0000000000000\x0000000000000\x00        S")
	copy(header[257:], "ustar  \x00")
	for _, at := range []int{386, 483} { // where the only, empty, part begins; the size
		header[at] = 0x80
		binary.BigEndian.PutUint64(header[at+4:], size)
	}
	copy(header[398:], "00000000000\x00")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return append(header, make([]byte, 1024)...)
}

// A endsAfter is a context that ends when it has been asked so often.
type endsAfter struct {
	context.Context
	calls int
}

func (c *endsAfter) Err() error {
	if c.calls--; c.calls < 0 {
		return context.Canceled
	}
	return nil
}

// A hole needs no more of the stream. So it ends with the context, or it would be written for ever.
func TestUnpackEndsInAHole(t *testing.T) {
	const size = 64 << 20
	for calls, want := range map[int]error{3: context.Canceled, 1 << 30: nil} {
		dst := t.TempDir()
		done, err := openTest(t, dst).Unpack(&endsAfter{t.Context(), calls}, bytes.NewReader(sparse(size)), UnpackRequest{Path: "/"})
		if !errors.Is(err, want) || (done.Bytes == size) != (want == nil) {
			t.Errorf("%d bytes, %v; want %v", done.Bytes, err, want)
		}
		if left := laid(t, dst); (len(left) == 0) != (want != nil) {
			t.Errorf("%d files are left", len(left))
		}
	}
}

// A watched stream calls back before each read.
type watched struct {
	io.Reader
	look func()
}

func (w watched) Read(p []byte) (int, error) {
	w.look()
	return w.Reader.Read(p[:min(len(p), 512)])
}

// What a copy makes belongs to its owner from the beginning. If it were given away later, a process
// of the owner could put something else of root's in its place.
func TestRootUnpackBelongsToItsOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	src, dst := t.TempDir(), t.TempDir()
	lay(t, src, map[string]string{"d/file": string(make([]byte, 100_000)), "d/link": "->file", "d/sub/x": "x"})
	var stream bytes.Buffer
	if _, err := openTest(t, src).Pack(t.Context(), &stream, "/d", nil); err != nil {
		t.Fatal(err)
	}
	all := hasResource(t)
	seen, bounded := map[string]bool{}, true
	look := func() {
		if bounded && hasResource(t) {
			t.Fatal("CAP_SYS_RESOURCE passes the bounds of ext4")
		}
		for name := range laid(t, dst) {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(dst, name), &st); err != nil {
				t.Fatal(err)
			}
			if st.Uid != 1000 || st.Gid != 2000 {
				t.Fatalf("%s belongs to %d:%d", name, st.Uid, st.Gid)
			}
			seen[name] = true
		}
	}
	if _, err := openTest(t, dst).Unpack(t.Context(), watched{&stream, look}, UnpackRequest{Path: "/", Owner: &Owner{1000, 2000}}); err != nil {
		t.Fatal(err)
	}
	bounded = false
	if look(); len(seen) < 6 { // temporary files too
		t.Errorf("only %v were seen", seen)
	}
	if hasResource(t) != all {
		t.Error("the caller's thread is no more what it was")
	}
}

// hasResource reports whether the calling thread has CAP_SYS_RESOURCE.
func hasResource(t *testing.T) bool {
	var sets [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0]); err != nil {
		t.Fatal(err)
	}
	return sets[0].Effective&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// Times that are no number of nanoseconds since 1970, and a link in /proc.
func TestCopyOdd(t *testing.T) {
	for _, at := range []time.Time{time.Date(2345, 6, 7, 8, 9, 10, 11, time.UTC), time.Date(1930, 1, 2, 3, 4, 5, 6, time.UTC)} {
		var stream bytes.Buffer
		w := tar.NewWriter(&stream)
		if err := w.WriteHeader(&tar.Header{Format: tar.FormatPAX, Name: "file", Typeflag: tar.TypeReg, Mode: 0o600, ModTime: at}); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		dst := t.TempDir()
		f, err := os.Create(filepath.Join(dst, "plain"))
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		ts := unix.Timespec{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
		if err := unix.UtimesNanoAt(unix.AT_FDCWD, f.Name(), []unix.Timespec{ts, ts}, 0); err != nil {
			t.Fatal(err)
		}
		plain, err := os.Stat(f.Name()) // as well as this file system can
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openTest(t, dst).Unpack(t.Context(), &stream, UnpackRequest{Path: "/"}); err != nil {
			t.Fatal(err)
		}
		if fi, err := os.Stat(filepath.Join(dst, "file")); err != nil || !fi.ModTime().Equal(plain.ModTime()) {
			t.Errorf("%v is kept as %v, %v", plain.ModTime(), fi.ModTime(), err)
		}
	}
	var skipped []string
	packed, err := openTest(t, "/").Pack(t.Context(), io.Discard, fmt.Sprintf("/proc/%d/exe", os.Getpid()), func(name, why string) { skipped = append(skipped, name+" "+why) })
	if err != nil || packed.Files != 0 || !cmp.Equal(skipped, []string{"exe of the kernel"}) {
		t.Errorf("%v, %v, %v", packed, skipped, err)
	}
}
