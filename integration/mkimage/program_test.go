package main

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files makes files below a new folder and returns it.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, c := range content {
		p := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(c), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLibrariesAreFoundWhereverUsrIs(t *testing.T) {
	dir := files(t, map[string]string{
		"lib/x86_64-linux-gnu/libc.so.6":               "",
		"usr/lib/x86_64-linux-gnu/libssl.so.3":         "",
		"usr/lib64/ld-linux-x86-64.so.2":               "",
		"usr/lib/x86_64-linux-gnu/gconv/ISO8859-1.so":  "", // a plug-in, no library
		"usr/share/doc/libssl3/copyright":              "",
		"usr/lib/aarch64-linux-gnu/libcrypto.so.3":     "",
		"usr/lib/x86_64-linux-gnu/libcrypto-static.a":  "",
		"usr/lib/x86_64-linux-gnu/pkgconfig/libssl.pc": "",
	})
	got, err := libraries(dir)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"libc.so.6":            "lib/x86_64-linux-gnu/libc.so.6",
		"libssl.so.3":          "usr/lib/x86_64-linux-gnu/libssl.so.3",
		"ld-linux-x86-64.so.2": "usr/lib64/ld-linux-x86-64.so.2",
		"libcrypto.so.3":       "usr/lib/aarch64-linux-gnu/libcrypto.so.3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("libraries (-want +got):\n%s", diff)
	}
}

func TestFind(t *testing.T) {
	dir := files(t, map[string]string{"bin/old": "", "usr/bin/new": ""})
	for _, tt := range []struct {
		name, path, want string
	}{
		{"as it is", "/bin/old", "bin/old"},
		{"below usr", "/bin/new", "usr/bin/new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := find(dir, tt.path)
			if want := filepath.Join(dir, tt.want); err != nil || got != want {
				t.Errorf("found %q, %v; want %q", got, err, want)
			}
		})
	}
	if _, err := find(dir, "/bin/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v, want that it does not exist", err)
	}
}

// This machine's own tree serves as the unpacked packages. On every Linux that builds Go tests,
// /bin/sh is dynamic or there is none.
func TestAddProgramBringsLoaderAndLibraries(t *testing.T) {
	shell, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	root := newTree()
	if err := addProgram(root, "/", shell); err != nil {
		t.Fatal(err)
	}
	names := strings.Join(slices.Sorted(maps.Keys(root.entries)), "\n")
	if !strings.Contains(names, "libc.so") && !strings.Contains(names, "libc.musl") {
		t.Skipf("%s is static:\n%s", shell, names)
	}
	if !strings.Contains(names, "ld-") {
		t.Errorf("no loader in:\n%s", names)
	}
}

func TestAddProgramWithoutItsLoader(t *testing.T) {
	shell, err := os.ReadFile("/bin/sh")
	if err != nil {
		t.Skip(err)
	}
	dir := files(t, map[string]string{"bin/sh": string(shell)})
	err = addProgram(newTree(), dir, "/bin/sh")
	if err == nil || !strings.Contains(err.Error(), "no package has its loader") {
		t.Errorf("error is %v, want one that names the loader", err)
	}
}

func TestAddApplets(t *testing.T) {
	root := newTree()
	root.add("/bin/multi", 0o755, []byte("#!/bin/sh\necho multi\necho ls\necho cat\n"))
	if err := addApplets(root, "/bin/multi", ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"bin/ls", "bin/cat"} {
		if e := root.entries[name]; e.target != "multi" {
			t.Errorf("%s leads to %q, want multi", name, e.target)
		}
	}
	if e := root.entries["bin/multi"]; e.target != "" {
		t.Error("the program became a link to itself")
	}
	if err := addApplets(root, "/bin/none", ""); err == nil {
		t.Error("applets of a program that is not in the image are no error")
	}
}

// The shell serves as the emulator of a program that this machine can't run.
func TestAddAppletsOfAnotherArchitecture(t *testing.T) {
	root := newTree()
	root.add("/bin/multi", 0o755, []byte("#!/no/such/interpreter\necho ls\n"))
	if err := addApplets(root, "/bin/multi", ""); err == nil {
		t.Error("the program ran without its emulator")
	}
	if err := addApplets(root, "/bin/multi", "sh"); err != nil {
		t.Fatal(err)
	}
	if e := root.entries["bin/ls"]; e.target != "multi" {
		t.Errorf("ls leads to %q, want multi", e.target)
	}
}
