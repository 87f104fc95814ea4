package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLogFileStartsAgainAtItsLimit(t *testing.T) {
	for _, tt := range []struct {
		name  string
		there string // in the file before
		lines []string
		want  map[string]string
	}{
		{"below the limit", "", []string{"one\n", "two\n"}, map[string]string{"log": "one\ntwo\n"}},
		{"over it", "", []string{"one\n", "two\n", "three\n"}, map[string]string{"log": "three\n", "log.1": "one\ntwo\n"}},
		{"over it twice", "", []string{"one\n", "two\n", "three\n", "fourth\n"}, map[string]string{"log": "fourth\n", "log.1": "three\n"}},
		{"goes on where it was", "zero\n", []string{"one\n", "two\n"}, map[string]string{"log": "two\n", "log.1": "zero\none\n"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if tt.there != "" {
				if err := os.WriteFile(filepath.Join(dir, "log"), []byte(tt.there), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			l := &logFile{path: filepath.Join(dir, "log"), limit: 10}
			for _, line := range tt.lines {
				if _, err := l.Write([]byte(line)); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, content(t, dir)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = string(b)
	}
	return files
}
