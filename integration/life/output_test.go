package life

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestOutputOfIncarnations removes groups and applies them again, while the daemon is there and
// while it is not. No group gets the output of an earlier one of its name, and none loses its own.
func TestOutputOfIncarnations(t *testing.T) {
	t.Parallel()
	m := machine.New(t, "")
	apply := func(text string) { m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, text)) }
	apply("one")
	says(m, 0, "logs pair.side", "one")
	// No container can hold up the host when it opens its group's output. Reading is the control.
	for _, technique := range []string{"lease", "lease-upper", "lease-delegation", "lease-read"} {
		var got struct{ Error string }
		if err := json.Unmarshal([]byte(m.Run("exec", "pair.side", "--", "/attack", "try", technique, "192.0.2.1", "1")), &got); err != nil {
			t.Fatal(err)
		}
		if refused := strings.Contains(got.Error, "operation not permitted"); refused != (technique != "lease-read") {
			t.Errorf("%s: error %q", technique, got.Error)
		}
	}
	m.Run("stop", "pair")
	m.Run("start", "pair")
	if got := m.Run("logs", "pair.side"); got != "one\none leaves\none\n" {
		t.Errorf("after stop and start: %q", got)
	}
	before := m.Pids("pair")
	m.Kill()
	m.Start()
	if now := m.Pids("pair"); now["side"] != before["side"] {
		t.Errorf("the next daemon has started it again")
	}

	m.Run("rm", "pair")
	says(m, 1, "logs pair", "no such group", `logs --removed pair"`)
	says(m, 0, "logs --removed", "pair", "app,side")
	const first = "one\none leaves\none\none leaves\n"
	if got := m.Run("logs", "--removed", "pair.side"); got != first {
		t.Errorf("of the removed group: %q", got)
	}
	apply("two")
	if got := m.Run("logs", "pair.side"); got != "two\n" {
		t.Errorf("of the new group: %q", got)
	}
	if got := m.Run("logs", "--removed", "pair.side"); got != first {
		t.Errorf("of the removed group beside the new one: %q", got)
	}

	// Its file goes while no daemon is there, and so does one that an earlier version has left.
	m.Kill()
	groups := filepath.Join(m.Root, "groups.d")
	if err := os.Remove(filepath.Join(groups, "pair.hcl")); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(m.Root, "log/ancient")
	if err := os.MkdirAll(old, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(old, "app.log"), []byte("from before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Start()
	if err := machine.Retry(longestAnswer, func() error {
		out := m.All("logs", "--removed")
		if !strings.Contains(out, "ancient") || strings.Count(out, "pair") != 2 {
			return fmt.Errorf("not all is put aside yet:\n%s", out)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := m.Run("logs", "--removed", "pair.side"); got != "two\ntwo leaves\n" {
		t.Errorf("of the group whose file is gone: %q", got)
	}
	apply("three")
	m.Apply("ancient.hcl", strings.Replace(fmt.Sprintf(machine.Pair, machine.AttackImage, "young"), `group "pair"`, `group "ancient"`, 1))
	both := strings.Fields(m.Run("logs", "ancient.side", "pair.side"))
	slices.Sort(both)
	if got := strings.Join(both, " "); got != "ancient.side pair.side three young | |" {
		t.Errorf("of two groups: %q", got)
	}
	m.Run("rm", "ancient")
}
