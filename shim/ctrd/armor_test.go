package ctrd

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
)

// A profile that can't be loaded is logged once, and tried again after a while. One that is gone is
// loaded again.
func TestProfile(t *testing.T) {
	sys := t.TempDir()
	put := func(name, content string) {
		t.Helper()
		path := filepath.Join(sys, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const profiles = "kernel/security/apparmor/profiles"
	var logged bytes.Buffer
	broken, parsed := errors.New("syntax error"), 0
	c := &Client{log: slog.New(slog.NewTextHandler(&logged, nil))}
	c.armor.host = apparmor.Below(sys, func(context.Context, string) error {
		if parsed++; broken == nil {
			put(profiles, apparmor.Profile+" (enforce)\n")
		}
		return broken
	})
	expect := func(when, profile string, parses, lines int) {
		t.Helper()
		if got := c.profile(t.Context()); got != profile || parsed != parses || strings.Count(logged.String(), "\n") != lines {
			t.Errorf("%s: profile %q, parsed %d times, want %q and %d; logged:\n%s", when, got, parsed, profile, parses, &logged)
		}
	}
	later := func() { c.armor.failed = time.Now().Add(-armorAgain) }

	expect("without AppArmor", "", 0, 0)
	put("module/apparmor/parameters/enabled", "Y\n")
	put(profiles, "")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if got := c.profile(gone); got != "" || !c.armor.failed.IsZero() || logged.Len() > 0 {
		t.Errorf("a caller that has gone: %q, %v, %s", got, c.armor.failed, &logged)
	}
	expect("it can't be loaded", "", 2, 1)
	expect("at once after that", "", 2, 1)
	later()
	expect("a minute later", "", 3, 1)
	broken = nil
	later()
	expect("once it can", apparmor.Profile, 4, 2)
	expect("after that", apparmor.Profile, 4, 2)
	put(profiles, "")
	expect("when it is gone", apparmor.Profile, 5, 3)
	broken = errors.New("syntax error")
	put(profiles, "")
	expect("gone, and it can't be loaded", "", 6, 4)
}
