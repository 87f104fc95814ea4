package disk_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/disk"
)

func TestJSON(t *testing.T) {
	type value struct{ Name string }
	path := filepath.Join(t.TempDir(), "v.json")
	if _, err := disk.ReadJSON[value](path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("read a missing file: %v", err)
	}
	for _, want := range []value{{"first"}, {"second"}} {
		if err := disk.WriteJSON(path, want); err != nil {
			t.Fatal(err)
		}
		if got, err := disk.ReadJSON[value](path); err != nil || got != want {
			t.Errorf("read %+v, %v; want %+v", got, err, want)
		}
	}
	if err := disk.WriteFile(path, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := disk.ReadJSON[value](path); err == nil || !strings.HasPrefix(err.Error(), path+": ") {
		t.Errorf("the error for half a file is %v, without its path", err)
	}
	if err := disk.WriteJSON(path, func() {}); err == nil {
		t.Error("a function was written as JSON")
	}
}

// An old file may have been readable by others, or be a link to one that is not ours.
func TestWriteFileReplaces(t *testing.T) {
	dir := t.TempDir()
	path, target := filepath.Join(dir, "f"), filepath.Join(dir, "target")
	if err := os.WriteFile(target, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteFile(path, []byte("ours")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != disk.FileMode {
		t.Errorf("the new file is %v, %v; want mode %v", info, err, fs.FileMode(disk.FileMode))
	}
	if data, err := os.ReadFile(target); err != nil || string(data) != "theirs" {
		t.Errorf("the link's target has %q, %v", data, err)
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) != 2 {
		t.Errorf("the folder has %v, %v; want the two files alone", all, err)
	}
}

func TestRemove(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := disk.WriteFile(path, nil); err != nil {
		t.Fatal(err)
	}
	if err := disk.Remove(dir); err == nil {
		t.Error("a folder was removed with a file in it")
	}
	for range 2 {
		if err := disk.Remove(path); err != nil {
			t.Error(err)
		}
	}
	if err := (disk.Disk{}).SyncFolder(dir); err != nil {
		t.Error(err)
	}
	if err := disk.Remove(dir); err != nil {
		t.Error(err)
	}
	if err := (disk.Disk{}).SyncFolder(dir); err != nil {
		t.Errorf("sync a missing folder: %v", err)
	}
}

func TestUnwritable(t *testing.T) {
	for err, want := range map[error]bool{
		unix.ENOSPC: true, unix.EDQUOT: true, unix.EROFS: true, unix.EIO: true,
		unix.EISDIR: false, unix.ENOENT: false, unix.EACCES: false, nil: false,
	} {
		if got := disk.Unwritable(errors.Join(err, &fs.PathError{Op: "write", Path: "f", Err: err})); got != want {
			t.Errorf("%v: %v", err, got)
		}
	}
}
