package archive

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
)

// Archives that are compressed as a whole are unpacked one at a time: two at once could fill the
// disk. The second waits, and goes on when the first has ended.
func TestUnpackedOneAtATime(t *testing.T) {
	img := tinyImage(t, "amd64", "one")
	path := filepath.Join(t.TempDir(), "a.tar.gz")
	if err := os.WriteFile(path, ctrdtest.Compress(t, ctrdtest.Tar(t, ctrdtest.OCIFiles(t, ctrdtest.Index(img), img))), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	scratch := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		turns := unpacking
		unpacking = make(chan struct{}, 1) // one of this bubble
		defer func() { unpacking = turns }()
		unpacking <- struct{}{} // another archive is being unpacked
		ended := false
		var a *Archive
		go func() {
			a, err = OpenStream(t.Context(), f, "a.tar.gz", scratch)
			ended = true
		}()
		synctest.Wait()
		if ended {
			t.Errorf("it was unpacked beside another one (%v)", err)
		}
		<-unpacking
		synctest.Wait()
		if !ended || err != nil {
			t.Fatalf("after the other one: ended %v, %v", ended, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		if len(unpacking) != 0 {
			t.Error("the next one has no turn")
		}
	})
}

// A disk that is full while an archive is unpacked has a hint of its own. The error is the one that
// the kernel has for a write to it.
func TestFullDiskWhileUnpacking(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	_, err = full.Write([]byte("x"))
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("control: %v", err)
	}
	a := &Archive{Path: "/images/app.tar.gz"}
	err = a.unpackProblem(t.Context(), err)
	const want = "archive /images/app.tar.gz: unpack it: no space left on device"
	if err.Error() != want || !strings.HasPrefix(hint.Of(err), "make room") {
		t.Errorf("error %q, hint %q, want %q", err, hint.Of(err), want)
	}
}
