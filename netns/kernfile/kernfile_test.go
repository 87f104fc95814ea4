package kernfile_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/netns/kernfile"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	for _, size := range []int{0, 1, 4095, 4096, 4097, 65_536, 100_000} {
		path := filepath.Join(dir, "knob")
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := kernfile.Read(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: read %d, %v", size, len(got), err)
		}
	}
	if _, err := kernfile.Read(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	if _, err := kernfile.Read(dir); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder: %v", err)
	}
}

// A sysctl is the same as by package os.
func TestReadSysctl(t *testing.T) {
	const path = "/proc/sys/kernel/ostype"
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kernfile.Read(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	f, err := kernfile.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Name() != dir {
		t.Errorf("name %q, want %q", f.Name(), dir)
	}
	if _, err := kernfile.Open(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
}

// A file that is kept open has each value that is written later.
func TestKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "knob")
	k := kernfile.Kept{Path: path}
	if _, err := k.Read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an absent file: %v", err)
	}
	for _, want := range []string{"1\n", "0\n", strings.Repeat("x", 64), strings.Repeat("y", 5000), ""} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Read(); err != nil || string(got) != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	kept := kernfile.Kept{Path: "/proc/sys/kernel/ostype"}
	for range 3 {
		if got, err := kept.Read(); err != nil || string(got) != "Linux\n" {
			t.Errorf("a sysctl: %q, %v", got, err)
		}
	}
}
