package bound

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	dir := t.TempDir()
	if got := readSettings(dir); got != Defaults {
		t.Errorf("without a file: %+v", got)
	}
	want := Settings{Size: 20 << 20, Total: 1 << 30, Removed: 90 * time.Minute}
	must(t, WriteSettings(dir, want))
	if got := readSettings(dir); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	before, err := os.Stat(filepath.Join(dir, SettingsFile))
	must(t, err)
	must(t, WriteSettings(dir, want))
	after, err := os.Stat(filepath.Join(dir, SettingsFile))
	must(t, err)
	if !os.SameFile(before, after) {
		t.Error("written again without a change")
	}
	for _, text := range []string{"", "{", "[]", `{"version":2,"size":1}`, `{"version":1,"size":-1}`, `{"version":1,"size":1,"total":-1}`} {
		must(t, os.WriteFile(filepath.Join(dir, SettingsFile), []byte(text), 0o600))
		if got := readSettings(dir); got != Defaults {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestSizes(t *testing.T) {
	dir := t.TempDir()
	if got := readSizes(dir); len(got) > 0 {
		t.Errorf("without a file: %v", got)
	}
	must(t, os.WriteFile(filepath.Join(dir, SettingsFile),
		[]byte(`{"version":1,"containers":{"web":{"size":52428800,"journal":true},"db":{},"bad":{"size":-5}},"later":1}`), 0o600))
	if got := readSizes(dir); len(got) != 1 || got["web"] != 50<<20 {
		t.Errorf("got %v", got)
	}
	must(t, os.Remove(filepath.Join(dir, SettingsFile)))
	must(t, os.Symlink("/proc/self/stat", filepath.Join(dir, SettingsFile)))
	if got := readSizes(dir); len(got) > 0 {
		t.Errorf("by a link: %v", got)
	}
}
