package ctrd

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
)

// writeProgram writes a program without libraries that no one can run, but that has all that is
// looked at.
func writeProgram(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	header := make([]byte, 64)
	copy(header, "\x7fELF\x02\x01\x01")
	binary.LittleEndian.PutUint16(header[16:], 2)  // ET_EXEC
	binary.LittleEndian.PutUint16(header[18:], 62) // EM_X86_64
	binary.LittleEndian.PutUint32(header[20:], 1)
	binary.LittleEndian.PutUint16(header[52:], 64)
	if err := os.WriteFile(path, append(header, content...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// Containers run a copy of the program, which is whole, and which everybody may run. It is made
// once for each program. What an earlier daemon has left in its folder goes.
func TestReaperCopy(t *testing.T) {
	dir := t.TempDir()
	folder, program := filepath.Join(dir, "state/init"), filepath.Join(dir, "program")
	writeProgram(t, program, "one", 0o700)
	find := func(fresh bool, r *reaperCopy) (path string, inode uint64) {
		t.Helper()
		if fresh {
			*r = reaperCopy{folder: folder, self: program}
		}
		f, why, err := r.find()
		if err != nil || why != nil {
			t.Fatalf("%v, %v", err, why)
		}
		var st unix.Stat_t
		if err := unix.Lstat(f.Source, &st); err != nil || st.Mode != unix.S_IFREG|0o555 {
			t.Errorf("mode %o, %v", st.Mode, err)
		}
		want, _ := os.ReadFile(program)
		if got, err := os.ReadFile(f.Source); err != nil || string(got) != string(want) {
			t.Errorf("it has %q, %v", got, err)
		}
		if names, err := os.ReadDir(folder); err != nil || len(names) != 1 {
			t.Errorf("in its folder: %v, %v", names, err)
		}
		return f.Source, st.Ino
	}
	var r reaperCopy
	path, inode := find(true, &r)
	for _, fresh := range []bool{false, true} { // the same daemon, and the next one
		if again, same := find(fresh, &r); again != path || same != inode {
			t.Errorf("made again: %s, %s", again, path)
		}
	}
	for name, damage := range map[string]func() error{
		"cut off":         func() error { return os.Truncate(path, 70) },
		"of another mode": func() error { return os.Chmod(path, 0o700) },
		"a pipe":          func() error { return unix.Mkfifo(path, 0o755) },
		"a link":          func() error { return os.Symlink("/nowhere", path) },
		"half a copy":     func() error { return os.WriteFile(filepath.Join(folder, ".copying-1"), nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			if name == "a pipe" || name == "a link" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(); err != nil {
				t.Fatal(err)
			}
			find(true, &r)
		})
	}
	find(false, &r)
	if err := os.Remove(path); err != nil { // by others
		t.Fatal(err)
	}
	find(false, &r)

	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	writeProgram(t, program, "two", 0o755)
	if next, _ := find(true, &r); next == path {
		t.Error("another program has the copy of the one before")
	}
}

// Without a copy, containers run the program itself if they can.
func TestReaperWithoutACopy(t *testing.T) {
	dir := t.TempDir()
	program, own := filepath.Join(dir, "program"), filepath.Join(dir, "own")
	if err := os.Symlink(program, own); err != nil { // as /proc/self/exe is
		t.Fatal(err)
	}
	writeProgram(t, program, "", 0o755)
	r := reaperCopy{folder: filepath.Join(program, "init"), self: own}
	if f, why, err := r.find(); err != nil || why == nil || f.Source != program {
		t.Errorf("%v, %v, %v", f, why, err)
	}
	writeProgram(t, program, "", 0o700)
	if _, _, err := r.find(); err == nil || !strings.Contains(err.Error(), "its mode is 0700") || !strings.Contains(hint.Of(err), "0755") {
		t.Errorf("a program of root alone: %v; %s", err, hint.Of(err))
	}
	if err := os.WriteFile(program, slices.Repeat([]byte("x"), 100), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.find(); err == nil {
		t.Error("no program is taken for one")
	}
}
