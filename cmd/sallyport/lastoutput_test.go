package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
)

// unlockable is a line that has its reason at the end.
var unlockable = `ts=2026-11-30T22:30:00.000Z caller=main.go:1321 level=error msg="Fatal error" detail="` + strings.Repeat("more ", 60) +
	`" err="opening storage failed: lock DB directory: open /data/lock: permission denied"`

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
		{"a line of 320 bytes", "err=x " + strings.Repeat("é", 157), []string{"err=x " + strings.Repeat("é", 157)}},
		{"a long line", strings.Repeat("é", 161), []string{strings.Repeat("é", 40) + "…" + strings.Repeat("é", 118)}},
		{"a line of Prometheus", unlockable, []string{`ts=2026-11-30T22:30:00.000Z caller=main.go:1321 level=error msg="Fatal error" de…e ` + strings.Repeat("more ", 30) +
			`" err="opening storage failed: lock DB directory: open /data/lock: permission denied"`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(c.text), 0o644); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, lastOutput(l)("checkout", "web", time.Time{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
	// A run that prints nothing has no last output. That of the run before is not its own.
	if err := os.WriteFile(path, []byte("served\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	written := time.Now().Add(-time.Hour)
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	for since, want := range map[time.Duration][]string{-time.Minute: {"served"}, time.Minute: nil} {
		if diff := cmp.Diff(want, lastOutput(l)("checkout", "web", written.Add(since))); diff != "" {
			t.Errorf("since %v (-want +got)\n%s", since, diff)
		}
	}
	if got := lastOutput(l)("checkout", "never-ran", time.Time{}); got != nil {
		t.Errorf("for a container that never ran: %q", got)
	}
}
