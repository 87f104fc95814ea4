package life

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// brief is a group without a probe. %[2]s is the script of its app, and %[3]s is more of the group.
const brief = `
group "brief" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "%[2]s"]
    stop { signal = "SIGKILL" }
  }
  %[3]s
}
`

// TestEarlyEnds has apps that end soon after their start. The daemon watches for that, whether or
// not a command waits. No check is about how long something takes: an app ends by itself long
// before its generation could prove itself.
func TestEarlyEnds(t *testing.T) {
	m := machine.New(t, "")
	file := func(script, more string) string {
		return m.Write("brief.hcl", fmt.Sprintf(brief, machine.AttackImage, script, more))
	}
	const runsOn = "exec sleep 1000"
	history := func() (outcomes []string) {
		t.Helper()
		var all []group.Generation
		if err := json.Unmarshal([]byte(m.Run("history", "--json", "brief")), &all); err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			outcomes = append(outcomes, string(g.Outcome))
		}
		return outcomes
	}
	expect := func(want ...string) {
		t.Helper()
		machine.Eventually(t, time.Minute, "the generations are "+strings.Join(want, ", "), func() error {
			if got := history(); strings.Join(got, ", ") != strings.Join(want, ", ") {
				return fmt.Errorf("they are %q", got)
			}
			return nil
		})
	}
	m.Run("apply", "--settle", "1s", file(runsOn, ""))
	expect("proved")

	// With --settle the command fails, and prints the last output. The generation proves nothing.
	said := m.Fails(1, "apply", "--settle", "1m", file("echo no settings; sleep 0.2; exit 3", ""))
	if err := machine.Contains(said, "brief: app (app) ended with status 3; its last output: no settings", "error: group brief: app (app) ended with status 3\n", "hint: see"); err != nil {
		t.Error(err)
	}
	expect("on trial", "proved")
	if g := m.Status("brief"); g.Generation != 2 || g.Containers[0].EndsInARow == 0 {
		t.Errorf("generation %d, %+v", g.Generation, g.Containers[0])
	}
	m.Run("rollback", "--settle", "1s", "brief")
	if g := m.Status("brief"); g.State != group.Running || g.Error != "" {
		t.Errorf("rolled back: %s, error %q", g.State, g.Error)
	}
	expect("proved", "replaced", "proved")

	// A trial goes on after the command that does not wait for it, and is judged by its block.
	const trial = "update { auto_revert = true }"
	m.Run("apply", "--settle", "1s", file(runsOn, trial))
	expect("proved", "proved", "replaced", "proved")
	_, _ = m.Try("apply", file("sleep 0.5; exit 4", trial))
	expect("proved", "taken back", "proved", "proved", "replaced", "proved")
	const why = "generation 5 was taken back"
	if g := m.Status("brief"); g.State != group.Running || g.Generation != 6 || !strings.Contains(g.Error, why+": app (app) ended 3 times, the last time with status 4") || g.Hint == "" {
		t.Errorf("taken back: %s, generation %d, error %q", g.State, g.Generation, g.Error)
	}
	if events := m.Events("brief", group.EventReverted); len(events) != 1 || !strings.HasPrefix(events[0].Text, why) {
		t.Errorf("events: %+v", events)
	}
	// A command that waits for the trial has its verdict.
	said = m.Fails(1, "apply", "--settle", "1ms", file("sleep 0.5; exit 5", trial))
	if err := machine.Contains(said, "generation 7 was taken back: app (app) ended 3 times, the last time with status 5"); err != nil {
		t.Error(err)
	}
	if g := m.Status("brief"); g.State != group.Running || g.Generation != 8 {
		t.Errorf("taken back again: %s, generation %d", g.State, g.Generation)
	}
}
