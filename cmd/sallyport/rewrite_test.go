package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const (
	looseText = "locals {\na=1\n  bcd   = 2\n}\n"
	tidyText  = "locals {\n  a   = 1\n  bcd = 2\n}\n"
)

// looseFile makes a file that is not in the usual style, with a mode, an owner and extended
// attributes of its own. It returns what a format has to keep.
func looseFile(t *testing.T) (path string, kept fileTraits) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "loose.hcl")
	if err := os.WriteFile(path, []byte(looseText), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(path, 1234, 2345); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"user.note": "keep me", "user.empty": ""} {
		if err := unix.Setxattr(path, name, []byte(value), 0); err != nil && !errors.Is(err, unix.ENOTSUP) {
			t.Fatal(err)
		}
	}
	return path, traitsOf(t, path)
}

// fileTraits has all that a format keeps of a file.
type fileTraits struct {
	Mode, UID, GID uint32
	Names          uint64
	Attributes     map[string][]byte
}

func traitsOf(t *testing.T, path string) fileTraits {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		t.Fatal(err)
	}
	all, err := attributesOf(path)
	if err != nil {
		t.Fatal(err)
	}
	return fileTraits{s.Mode, s.Uid, s.Gid, uint64(s.Nlink), all}
}

func inodeOf(t *testing.T, path string) uint64 {
	t.Helper()
	var s unix.Stat_t
	if err := unix.Lstat(path, &s); err != nil {
		t.Fatal(err)
	}
	return s.Ino
}

// checkFormatted expects the tidy text, what the file had, and nothing else in its folder but some
// names.
func checkFormatted(t *testing.T, path string, want fileTraits, names ...string) {
	t.Helper()
	if text, err := os.ReadFile(path); err != nil || string(text) != tidyText {
		t.Errorf("the text is %q, %v", text, err)
	}
	if diff := cmp.Diff(want, traitsOf(t, path)); diff != "" {
		t.Errorf("what the file has (-before +after):\n%s", diff)
	}
	checkNames(t, filepath.Dir(path), names...)
}

func checkNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names in the folder (-want +got):\n%s", diff)
	}
}

func format(t *testing.T, path string) (status int, stderr string) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	var text strings.Builder
	ui := newUI(null, null, null, nil)
	ui.err = &text
	status = run([]string{"fmt", path}, ui)
	return status, text.String()
}

// A file keeps what it has. With one name it is another file afterwards, so that a crash finds the
// old text or the new one.
func TestFormatKeepsAttributes(t *testing.T) {
	path, traits := looseFile(t)
	before := inodeOf(t, path)
	if status, stderr := format(t, path); status != 0 {
		t.Fatal(status, stderr)
	}
	checkFormatted(t, path, traits, "loose.hcl")
	if inodeOf(t, path) == before {
		t.Error("it was written in place")
	}
}

// The default access control list of the folder is not given to a file that had none.
func TestFormatAddsNoAccessList(t *testing.T) {
	path, traits := looseFile(t)
	// Version 2, then tag, permissions and id of each entry: the owner, user 4321, the group, the
	// mask and the others.
	list := "\x02\x00\x00\x00" + "\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\xe1\x10\x00\x00" +
		"\x04\x00\x07\x00\xff\xff\xff\xff" + "\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	err := unix.Setxattr(filepath.Dir(path), "system.posix_acl_default", []byte(list), 0)
	if errors.Is(err, unix.ENOTSUP) {
		t.Skip("a file system without access control lists")
	}
	if err != nil {
		t.Fatal(err)
	}
	if status, stderr := format(t, path); status != 0 {
		t.Fatal(status, stderr)
	}
	checkFormatted(t, path, traits, "loose.hcl")

	if err := os.WriteFile(path, []byte(looseText), 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(path, "system.posix_acl_access", []byte(list), 0); err != nil {
		t.Fatal(err)
	}
	traits = traitsOf(t, path)
	if status, stderr := format(t, path); status != 0 {
		t.Fatal(status, stderr)
	}
	checkFormatted(t, path, traits, "loose.hcl")
}

// A file with several names keeps all of them.
func TestFormatKeepsHardLinks(t *testing.T) {
	path, _ := looseFile(t)
	other := filepath.Join(filepath.Dir(path), "other.hcl")
	if err := os.Link(path, other); err != nil {
		t.Fatal(err)
	}
	traits := traitsOf(t, path)
	if status, stderr := format(t, path); status != 0 {
		t.Fatal(status, stderr)
	}
	checkFormatted(t, path, traits, "loose.hcl", "other.hcl")
	checkFormatted(t, other, traits, "loose.hcl", "other.hcl")
}

// A file whose write was cut off is left alone, and its text is there. What was kept and is not
// needed goes.
func TestFormatCutOff(t *testing.T) {
	for name, tt := range map[string]struct {
		text   string
		status int
	}{
		"before it began":  {looseText, 0},
		"when it was done": {tidyText, 0},
		"in between":       {tidyText[:10] + looseText[10:], statusUsage},
		"and then changed": {"locals {}\n", statusUsage},
	} {
		t.Run(name, func(t *testing.T) {
			path, traits := looseFile(t)
			kept := keptPath(path)
			if err := errors.Join(os.WriteFile(kept, []byte(looseText), 0o600), os.WriteFile(path, []byte(tt.text), 0)); err != nil {
				t.Fatal(err)
			}
			status, stderr := format(t, path)
			if status != tt.status {
				t.Fatalf("status %d, want %d: %s", status, tt.status, stderr)
			}
			if status == 0 {
				checkFormatted(t, path, traits, "loose.hcl")
				return
			}
			if !strings.Contains(stderr, kept) {
				t.Errorf("the error does not name %s: %s", kept, stderr)
			}
			text, err := os.ReadFile(path)
			old, errOld := os.ReadFile(kept)
			if err != nil || errOld != nil || string(text) != tt.text || string(old) != looseText {
				t.Errorf("changed: %q, %q", text, old)
			}
		})
	}
}

// A write that fails halfway puts the old text back.
func TestFormatPutsBack(t *testing.T) {
	path, _ := looseFile(t)
	if err := os.Link(path, path+".other"); err != nil {
		t.Fatal(err)
	}
	traits := traitsOf(t, path)
	is := []byte(strings.Repeat("# long\n", 10) + tidyText)
	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: uint64(len(looseText)), Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	err := rewrite{path, []byte(looseText), is, func() error { return nil }}.run()
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, unix.EFBIG) {
		t.Fatalf("the error is %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != looseText {
		t.Errorf("the text is %q, %v", text, err)
	}
	if diff := cmp.Diff(traits, traitsOf(t, path)); diff != "" {
		t.Errorf("what the file has (-before +after):\n%s", diff)
	}
	checkNames(t, filepath.Dir(path), "loose.hcl", "loose.hcl.other")
}

// A file that changes meanwhile stays as it is, however it is written.
func TestFormatOfWhatChanges(t *testing.T) {
	for _, links := range []int{1, 2} {
		path, _ := looseFile(t)
		names := []string{"loose.hcl"}
		if links == 2 {
			names = append(names, "other.hcl")
			if err := os.Link(path, filepath.Join(filepath.Dir(path), "other.hcl")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, []byte("locals {}\n"), 0); err != nil {
			t.Fatal(err)
		}
		err := formatted{path: path, was: []byte(looseText), is: []byte(tidyText)}.rewrite(context.Background())
		if err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
			t.Errorf("the error is %v", err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != "locals {}\n" {
			t.Errorf("the text is %q, %v", text, err)
		}
		checkNames(t, filepath.Dir(path), names...)
	}
}
