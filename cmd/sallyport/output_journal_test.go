package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/wanted"
)

// A journal that a group asks for and that is not there is noted. No group asks, or there is one:
// no note.
func TestJournalMissing(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	socket := filepath.Join(t.TempDir(), "socket")
	ask := func(journal bool) {
		path := l.LogPath("shop", "web")
		if err := wanted.Write(filepath.Dir(path), map[string]wanted.Output{"web": {Journal: journal}}); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask(false)
	if err := journalMissing(l, socket); err != nil {
		t.Errorf("not asked for: %v", err)
	}
	ask(true)
	if err := journalMissing(l, socket); err == nil || !strings.Contains(err.Error(), "shop.web asks for the journal") {
		t.Errorf("asked for, and missing: %v", err)
	}
	if err := os.WriteFile(socket, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := journalMissing(l, socket); err != nil {
		t.Errorf("asked for, and there: %v", err)
	}
}
