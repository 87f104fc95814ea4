package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
)

func TestLastOutput(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	path := l.LogPath("checkout", "web")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"nothing printed", "", nil},
		{"few lines", "one\ntwo\n", []string{"one", "two"}},
		{"the last of many", strings.Repeat("more\n", 20) + "a\nb\nc\nd\ne", []string{"a", "b", "c", "d", "e"}},
		{"control characters", "\x1b[2Jred\tgreen\r\n\x00\xff\n", []string{"[2Jred green", "?"}},
		{"a long line", strings.Repeat("é", 201), []string{strings.Repeat("é", 200) + "..."}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lastOutput(l)("checkout", "web")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	if got := lastOutput(l)("checkout", "never-ran"); got != nil {
		t.Errorf("for a container that never ran: %q", got)
	}
}
