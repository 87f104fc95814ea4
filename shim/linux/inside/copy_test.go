package inside

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// openTest returns a folder as if it were the root of a container.
func openTest(t *testing.T, dir string) *Root {
	t.Helper()
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &Root{f}
}

// lay makes files: a name that ends in a slash is a folder, a content that begins with "->" is a
// link.
func lay(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		target, link := strings.CutPrefix(content, "->")
		switch {
		case err != nil:
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		case link:
			err = os.Symlink(target, path)
		default:
			err = os.WriteFile(path, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// laid returns what lay would be given to make a folder.
func laid(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || path == dir:
			return err
		case e.IsDir():
			files[name+"/"] = ""
		case e.Type() == fs.ModeSymlink:
			target, err := os.Readlink(path)
			files[name] = "->" + target
			return err
		case e.Type().IsRegular():
			b, err := os.ReadFile(path)
			files[name] = string(b)
			return err
		default:
			files[name] = e.Type().String()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Where a copy goes, as with cp -r and docker cp.
func TestCopyTo(t *testing.T) {
	from := map[string]string{"file": "F", "dir/a": "A", "dir/sub/b": "B", "dir/sub/out": "->/etc/passwd", "to-file": "->file", "to-dir": "->dir"}
	for _, tt := range []struct {
		name, src, dst string
		there          map[string]string
		want           map[string]string // nil: an error
	}{
		{"a file into a folder", "/file", "/d", map[string]string{"d/": ""}, map[string]string{"d/": "", "d/file": "F"}},
		{"a file to a new name", "/file", "/d/x", map[string]string{"d/": ""}, map[string]string{"d/": "", "d/x": "F"}},
		{"a file over a file", "/file", "/x", map[string]string{"x": "old"}, map[string]string{"x": "F"}},
		{"a file over the file behind a link", "/file", "/l", map[string]string{"l": "->x", "x": "old"}, map[string]string{"l": "->x", "x": "F"}},
		{"a file by a link to nothing", "/file", "/l", map[string]string{"l": "->x"}, map[string]string{"l": "->x", "x": "F"}},
		{"a file by a link to a folder", "/file", "/l", map[string]string{"l": "->/d", "d/": ""}, map[string]string{"l": "->/d", "d/": "", "d/file": "F"}},
		{"a file into no folder", "/file", "/d/", nil, nil},
		{"a file below no folder", "/file", "/d/x", nil, nil},
		{"a file below a file", "/file", "/x/y", map[string]string{"x": "old"}, nil},
		{"a file over a folder of its name", "/file", "/", map[string]string{"file/": ""}, nil},
		{"a folder into a folder", "/dir", "/d", map[string]string{"d/": ""},
			map[string]string{"d/": "", "d/dir/": "", "d/dir/a": "A", "d/dir/sub/": "", "d/dir/sub/b": "B", "d/dir/sub/out": "->/etc/passwd"}},
		{"a folder to a new name", "/dir", "/d", nil, map[string]string{"d/": "", "d/a": "A", "d/sub/": "", "d/sub/b": "B", "d/sub/out": "->/etc/passwd"}},
		{"a folder to a new name with a slash", "/dir/", "/d/", nil, map[string]string{"d/": "", "d/a": "A", "d/sub/": "", "d/sub/b": "B", "d/sub/out": "->/etc/passwd"}},
		{"what is in a folder", "/dir/sub/.", "/d", map[string]string{"d/b": "old"}, map[string]string{"d/": "", "d/b": "B", "d/out": "->/etc/passwd"}},
		{"what is in a folder, to a new name", "/dir/sub/.", "/d", nil, map[string]string{"d/": "", "d/b": "B", "d/out": "->/etc/passwd"}},
		{"a folder over a file", "/dir", "/d", map[string]string{"d": "old"}, nil},
		{"a folder over a link in a folder", "/dir", "/d", map[string]string{"d/dir": "->/e", "e/": ""}, nil},
		{"a link", "/to-file", "/", map[string]string{}, map[string]string{"to-file": "->file"}},
		{"the folder behind a link", "/to-dir/sub", "/", map[string]string{}, map[string]string{"sub/": "", "sub/b": "B", "sub/out": "->/etc/passwd"}},
		{"a link over a link", "/to-file", "/d", map[string]string{"d/to-file": "->x"}, map[string]string{"d/": "", "d/to-file": "->file"}},
		{"no such file", "/none", "/", nil, nil},
		{"a file as a folder", "/file/", "/", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src, dst := t.TempDir(), t.TempDir()
			lay(t, src, from)
			lay(t, dst, tt.there)
			var stream bytes.Buffer
			skip := func(name, why string) { t.Errorf("skipped %s: %s", name, why) }
			_, err := openTest(t, src).Pack(t.Context(), &stream, tt.src, skip)
			if err == nil {
				_, err = openTest(t, dst).Unpack(t.Context(), &stream, UnpackRequest{Path: tt.dst, Follow: true, Skip: skip})
			}
			if (err == nil) != (tt.want != nil) {
				t.Fatalf("error %v", err)
			}
			want := tt.want
			if want == nil { // nothing half made
				if want = map[string]string{}; len(tt.there) > 0 {
					before := t.TempDir()
					lay(t, before, tt.there)
					want = laid(t, before)
				}
			}
			if diff := cmp.Diff(want, laid(t, dst)); diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Modes, times and odd names are kept. Bits that give rights are not.
func TestCopyKeeps(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	name := "d/" + strings.Repeat("long", 50) + " \n\xff"
	lay(t, src, map[string]string{name: "x", "d/closed/": "", "d/closed/in": "y"})
	if err := unix.Mkfifo(filepath.Join(src, "d/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2020, 1, 2, 3, 4, 5, 6000, time.UTC)
	for path, mode := range map[string]os.FileMode{name: 0o751 | fs.ModeSetuid | fs.ModeSetgid, "d/closed/in": 0o400, "d/closed": 0o500, "d": 0o700 | fs.ModeSticky} {
		path = filepath.Join(src, path)
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, dir := range []string{src, dst} {
			_ = os.Chmod(filepath.Join(dir, "d/closed"), 0o700) // else the test's folder stays
		}
	})
	var skipped []string
	skip := func(name, why string) { skipped = append(skipped, name+" "+why) }
	var stream bytes.Buffer
	packed, err := openTest(t, src).Pack(t.Context(), &stream, "/d", skip)
	if err != nil {
		t.Fatal(err)
	}
	unpacked, err := openTest(t, dst).Unpack(t.Context(), &stream, UnpackRequest{Path: "/", Skip: skip})
	if err != nil {
		t.Fatal(err)
	}
	if want := (Copied{2, 2}); packed != want || unpacked != want {
		t.Errorf("packed %v, unpacked %v, want %v", packed, unpacked, want)
	}
	if diff := cmp.Diff([]string{"d/pipe a pipe"}, skipped); diff != "" {
		t.Errorf("skipped (-want +got):\n%s", diff)
	}
	for path, mode := range map[string]os.FileMode{name: 0o751, "d/closed/in": 0o400, "d/closed": fs.ModeDir | 0o500, "d": fs.ModeDir | 0o700} {
		fi, err := os.Stat(filepath.Join(dst, path))
		if err != nil {
			t.Error(err)
		} else if fi.Mode() != mode || !fi.ModTime().Equal(at) {
			t.Errorf("%q: %v %v, want %v %v", path, fi.Mode(), fi.ModTime(), mode, at)
		}
	}
}

// No stream writes outside of its destination. In each, the entry "last" is the control: what comes
// before is refused or harmless, and not a broken stream.
func TestUnpackHostile(t *testing.T) {
	file := func(name, content string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, PAXRecords: map[string]string{"S.content": content}}
	}
	link := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	hard := func(name, to string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to} }
	folder := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o777} }
	deep := strings.Repeat("d/", maxDepth+1)
	for _, tt := range []struct {
		name    string
		entries []tar.Header
		want    string // part of the error; empty: none
	}{
		{"up", []tar.Header{file("../secret", "x")}, "name with .."},
		{"up in between", []tar.Header{file("a/../../secret", "x")}, "name with .."},
		{"up at the end", []tar.Header{folder("a/..")}, "name with .."},
		{"absolute", []tar.Header{file("/secret", "x"), file("last", "x")}, ""},
		{"a link, and a file through it", []tar.Header{link("l", "../"), file("l/secret", "x")}, "no link below the destination"},
		{"an absolute link, and a file through it", []tar.Header{link("l", "OUTSIDE"), file("l/secret", "x")}, "no link below the destination"},
		{"a link, and a folder through it", []tar.Header{link("l", "../"), folder("l/new")}, "no link below the destination"},
		{"a link, and itself as a folder", []tar.Header{link("l", "OUTSIDE"), folder("l")}, "no link below the destination"},
		{"a link to a file, and a file over it", []tar.Header{link("l", "OUTSIDE/secret"), file("l", "x"), file("last", "x")}, ""},
		{"a link that was there", []tar.Header{file("there/secret", "x")}, "no link below the destination"},
		{"a file over a link that was there", []tar.Header{file("there", "x"), file("last", "x")}, ""},
		{"another name for a file outside", []tar.Header{hard("h", "../secret")}, "name with .."},
		{"another name through a link", []tar.Header{link("l", "../"), hard("h", "l/secret"), file("h", "x")}, "no link below the destination"},
		{"another name for a link, and a file over it", []tar.Header{link("l", "OUTSIDE/secret"), hard("h", "l"), file("h", "x"), file("last", "x")}, ""},
		{"another name for an absolute file", []tar.Header{hard("h", "/secret")}, "no such file"},
		{"a folder, a link in its place, and a file", []tar.Header{folder("d"), link("d", "../"), file("d/secret", "x")}, "a folder of that name is there"},
		{"too deep", []tar.Header{folder(deep)}, "nested deeper"},
		{"devices", []tar.Header{{Name: "dev", Typeflag: tar.TypeBlock, Devmajor: 8}, {Name: "fifo", Typeflag: tar.TypeFifo}, file("last", "x")}, ""},
		{"no name", []tar.Header{file(".", "x")}, "it has no name"},
		{"a name in use as a temporary one", []tar.Header{link(".sallyport-", "../secret"), file("last", "x")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outside := t.TempDir()
			lay(t, outside, map[string]string{"secret": "old", "dst/": "", "dst/there": "->" + outside})
			var stream bytes.Buffer
			w := tar.NewWriter(&stream)
			for _, h := range tt.entries {
				content := h.PAXRecords["S.content"]
				h.PAXRecords, h.Size = nil, int64(len(content))
				h.Linkname = strings.ReplaceAll(h.Linkname, "OUTSIDE", outside)
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if _, err := fmt.Fprint(w, content); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			for _, root := range []struct {
				name string
				*Root
				path string
			}{{"as a container's", openTest(t, filepath.Join(outside, "dst")), "/"}, {"as the host's", openTest(t, "/"), filepath.Join(outside, "dst")}} {
				_, err := root.Unpack(t.Context(), bytes.NewReader(stream.Bytes()), UnpackRequest{Path: root.path, Whole: true, Skip: func(string, string) {}})
				if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%s: error %v, want %q", root.name, err, tt.want)
				}
				got := laid(t, outside)
				if tt.want == "" && got["dst/last"] != "x" {
					t.Errorf("%s: the last entry did not come", root.name)
				}
				for name := range got {
					if strings.HasPrefix(name, "dst/.sallyport-") && name != "dst/.sallyport-" {
						t.Errorf("%s is left", name)
					}
					if strings.HasPrefix(name, "dst/") {
						delete(got, name)
					}
				}
				if diff := cmp.Diff(map[string]string{"secret": "old"}, got); diff != "" {
					t.Errorf("%s: outside of the destination (-want +got):\n%s", root.name, diff)
				}
			}
		})
	}
}

// A stream that ends early, or is none, is an error.
func TestUnpackBroken(t *testing.T) {
	var stream bytes.Buffer
	src := t.TempDir()
	lay(t, src, map[string]string{"file": strings.Repeat("x", 10000)})
	if _, err := openTest(t, src).Pack(t.Context(), &stream, "/file", nil); err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{stream.Bytes()[:5000], stream.Bytes()[:100], []byte(strings.Repeat("no tar\n", 100))} {
		dst := t.TempDir()
		if _, err := openTest(t, dst).Unpack(t.Context(), bytes.NewReader(b), UnpackRequest{Path: "/"}); err == nil {
			t.Errorf("%d bytes: no error", len(b))
		}
		if left := laid(t, dst); len(left) > 0 {
			t.Errorf("%d bytes left %v", len(b), slices.Collect(func(yield func(string) bool) {
				for name := range left {
					yield(name)
				}
			}))
		}
	}
}
