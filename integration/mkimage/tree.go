package main

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// A tree holds the files of an image's one layer. Keys are paths in the image without the leading
// slash.
type tree struct {
	entries map[string]entry
}

type entry struct {
	mode    fs.FileMode
	content []byte
	target  string // of a symbolic link
}

// newTree returns a tree with what every program expects to find: a place to write, and the names
// root and nobody.
func newTree() *tree {
	t := &tree{entries: map[string]entry{}}
	t.entries["tmp"] = entry{mode: fs.ModeDir | fs.ModeSticky | 0o777}
	t.add("/etc/passwd", 0o644, []byte("root:x:0:0:root:/:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"))
	t.add("/etc/group", 0o644, []byte("root:x:0:\nnogroup:x:65534:\n"))
	return t
}

// add puts a regular file at an absolute path.
func (t *tree) add(at string, mode fs.FileMode, content []byte) {
	t.put(at, entry{mode: mode.Perm(), content: content})
}

// addLink puts a symbolic link at an absolute path.
func (t *tree) addLink(at, target string) {
	t.put(at, entry{mode: fs.ModeSymlink | 0o777, target: target})
}

// addFile copies a file of this machine. Of its mode it keeps only whether it can be executed,
// because the umask of a checkout must not change the image.
func (t *tree) addFile(at, src string) error {
	if !path.IsAbs(at) {
		return fmt.Errorf("%s: its place in the image must be absolute, not %q", src, at)
	}
	content, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	info, err := os.Stat(src)
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	t.add(at, mode, content)
	return nil
}

// put also adds the folders above.
func (t *tree) put(at string, e entry) {
	name := strings.TrimPrefix(path.Clean(at), "/")
	t.entries[name] = e
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, ok := t.entries[dir]; !ok {
			t.entries[dir] = entry{mode: fs.ModeDir | 0o755}
		}
	}
}

// writeTar writes the same bytes for the same tree: sorted, owned by root, dated at the epoch.
func (t *tree) writeTar(w io.Writer) error {
	tw := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		e := t.entries[name]
		h := &tar.Header{Name: name, Mode: int64(e.mode.Perm()), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
		switch {
		case e.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
			if e.mode&fs.ModeSticky != 0 {
				h.Mode |= 0o1000
			}
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
		default:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(e.content))
		}
		if err := tw.WriteHeader(h); err != nil {
			return err
		}
		if _, err := tw.Write(e.content); err != nil {
			return err
		}
	}
	return tw.Close()
}
