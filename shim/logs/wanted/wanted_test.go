package wanted

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWriteAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "group")
	if got := Read(dir); got != nil {
		t.Errorf("of no folder: %v", got)
	}
	want := map[string]Output{"web": {Size: 52428800, Journal: true}, "proxy": {Split: true}, "plain": {}}
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, Read(dir)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	const text = `{"version":1,"containers":{"plain":{},"proxy":{"split":true},"web":{"size":52428800,"journal":true}}}` + "\n"
	path := filepath.Join(dir, FileName)
	if got, err := os.ReadFile(path); err != nil || string(got) != text {
		t.Errorf("the file is %q, %v", got, err)
	}
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, want); err != nil {
		t.Fatal(err)
	}
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Error("the same was written again")
	}
	if err := Write(dir, map[string]Output{"web": {}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]Output{"web": {}}, Read(dir)); diff != "" {
		t.Errorf("after a change (-want +got):\n%s", diff)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("in the folder: %v, %v", left, err)
	}
}

// A Write of what is there already, as each group has one twice a minute, reads the file once.
func TestWriteReadsOnce(t *testing.T) {
	dir := t.TempDir()
	asked := map[string]Output{"web": {Size: 1 << 20}}
	if err := Write(dir, asked); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := reads(t)
	own := reads(t) - before
	if err := Write(dir, asked); err != nil {
		t.Fatal(err)
	}
	if n := reads(t) - before - 2*own; n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
}

// reads returns how many calls of read(2) this thread has made.
func reads(t *testing.T) (n int) {
	t.Helper()
	text, err := os.ReadFile("/proc/thread-self/io")
	if err != nil {
		t.Skip(err) // of a kernel without CONFIG_TASK_IO_ACCOUNTING
	}
	_, after, _ := strings.Cut(string(text), "syscr: ")
	if _, err := fmt.Sscan(after, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// What a container has asked for outlives it, and ends with its output.
func TestContainerThatIsNoLongerInTheGroup(t *testing.T) {
	dir := t.TempDir()
	old := Output{Size: 1 << 20, Journal: true}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := func(when string, want map[string]Output) {
		t.Helper()
		if diff := cmp.Diff(want, Read(dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	must(Write(dir, map[string]Output{"web": {}, "old": old, "silent": old, "plain": {}}))
	for _, name := range []string{"web.log", "old.log", "plain.log"} {
		must(os.WriteFile(filepath.Join(dir, name), nil, 0o600))
	}
	must(Write(dir, map[string]Output{"web": {}}))
	want("without it", map[string]Output{"web": {}, "old": old})
	must(Write(dir, map[string]Output{"old": {}}))
	want("back, and asking for nothing", map[string]Output{"old": {}})
	must(Write(dir, map[string]Output{"old": old}))
	must(os.Remove(filepath.Join(dir, "old.log")))
	must(Write(dir, map[string]Output{"web": {}}))
	want("without its output", map[string]Output{"web": {}})
}

// Damage asks for nothing, and is written over.
func TestDamaged(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"empty":   func(path string) error { return os.WriteFile(path, nil, 0o600) },
		"garbage": func(path string) error { return os.WriteFile(path, []byte("{"), 0o600) },
		"another version": func(path string) error {
			return os.WriteFile(path, []byte(`{"version":2,"containers":{"web":{"size":1}}}`), 0o600)
		},
		"a link": func(path string) error { return os.Symlink("/dev/zero", path) },
	} {
		dir := t.TempDir()
		if err := make(filepath.Join(dir, FileName)); err != nil {
			t.Fatal(err)
		}
		if got := Read(dir); got != nil {
			t.Errorf("%s: asks for %v", name, got)
		}
		want := map[string]Output{"web": {Size: 1 << 20}}
		if err := Write(dir, want); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, Read(dir)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
