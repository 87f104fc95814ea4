package machine

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// SecretsOf is the folder in memory that has the values of a group's secrets.
func (m *Machine) SecretsOf(group string) string {
	return filepath.Join(m.Root, "run", "secrets", group)
}

// CheckHidden looks for values of a group's secrets wherever they must not be: in what the command
// lines print, in all files of the instance and of containerd, and in the environment and the
// command line of every process. Its control is the folder that has them, if the group has any by
// now: it finds them there.
func (m *Machine) CheckHidden(t testing.TB, group string, values []string, commands ...[]string) {
	t.Helper()
	has := func(text []byte) bool {
		return slices.ContainsFunc(values, func(v string) bool { return bytes.Contains(text, []byte(v)) })
	}
	if len(values) == 0 {
		t.Error("there is no value to look for")
	}
	commands = append(commands, []string{"status", group, "--json"}, []string{"history", group, "--json"}, []string{"history", group, "--file"},
		[]string{"events", group, "--json"}, []string{"logs", group})
	for _, c := range commands {
		if out := m.All(c...); has([]byte(out)) {
			t.Errorf("%v shows a value:\n%s", c, out)
		}
	}
	held := m.SecretsOf(group)
	files := findInFiles(t, []string{m.Root, "/run/containerd", "/var/lib/containerd"}, held, has)
	if files < 20 {
		t.Errorf("only %d files were looked at", files)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		for _, name := range []string{"environ", "cmdline"} {
			if text, _ := os.ReadFile(filepath.Join(p, name)); has(text) { // it may have ended
				t.Errorf("%s/%s has a value", p, name)
			}
		}
	}
	if _, err := os.Stat(held); err == nil {
		found := false
		_ = filepath.WalkDir(held, func(path string, e fs.DirEntry, err error) error {
			text, _ := os.ReadFile(path) // a folder can't be read
			found = found || has(text)
			return nil
		})
		if !found {
			t.Errorf("the control: no value was found in %s, where they are", held)
		}
	}
}

// findInFiles reports the files below folders that have a value, but for those in one folder. It
// returns how many it read.
func findInFiles(t testing.TB, folders []string, but string, has func([]byte) bool) (files int) {
	t.Helper()
	for _, folder := range folders {
		_ = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return nil
			case path == but, e.IsDir() && (e.Name() == "rootfs" || strings.HasSuffix(path, "/blobs")):
				return filepath.SkipDir
			case !e.Type().IsRegular():
				return nil
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil
			}
			if files++; has(text) {
				t.Errorf("%s has a value", path)
			}
			return nil
		})
	}
	return files
}
