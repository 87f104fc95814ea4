package crash

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// told is a group whose app prints the first line of its file at its start and at each signal. It
// is ready while that line has "good" in it. %[2]s is the line.
const told = `
group "told" {
  egress = "none"
  update {
    health_timeout = "3s"
    auto_revert    = true
  }
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "trap 'echo \"hup: $(cat /etc/told.cfg)\"' HUP; echo \"start: $(cat /etc/told.cfg)\"; while :; do sleep 1000 & wait; done"]
    stop { signal = "SIGKILL" }
    probe "ready" {
      exec     = ["/bin/sh", "-c", "grep -q good /etc/told.cfg"]
      interval = "500ms"
    }
    file "/etc/told.cfg" {
      content = "%[2]s\n"
      reload  = "HUP"
    }
  }
}
`

func toldText(word string) string { return fmt.Sprintf(told, machine.AttackImage, word) }

// toldUpdate requests other contents, and the same each second time.
func (c *crashTest) toldUpdate(n int) request {
	if c.snapshot("told").text == "" {
		c.Apply("told.hcl", toldText("good first"))
	}
	word := fmt.Sprint("good ", n)
	return c.application("told", toldText(word), func([]string) error { return c.toldIs(word, "") })
}

// toldBad requests contents with which the app is not ready.
func (c *crashTest) toldBad(n int) request {
	word := fmt.Sprint("good ", n)
	d := c.application("told", toldText(fmt.Sprint("worse ", n)), func([]string) error { return c.toldIs(word, "was taken back: not ready within 3s") })
	d.text, d.transient = toldText(word), true
	return d
}

// toldIs returns nil if the app has run since its only start, was last told the word, and its
// generation is proved.
func (c *crashTest) toldIs(word, complaint string) error {
	g := c.Status("told")
	if g.State != group.Running || !strings.Contains(g.Error, complaint) || complaint == "" && g.Error != "" {
		return fmt.Errorf("%s, error %q", g.State, g.Error)
	}
	var history []group.Generation
	if err := json.Unmarshal([]byte(c.Run("history", "--json", "told")), &history); err != nil {
		return err
	}
	if newest := history[0]; newest.Number != g.Generation || newest.Outcome != group.Proved {
		return fmt.Errorf("generation %d is %s", newest.Number, newest.Outcome)
	}
	out := c.Run("logs", "told.app")
	if strings.Count(out, "start: ") != 1 || !strings.HasSuffix(out, ": "+word+"\n") {
		return fmt.Errorf("it printed, not once from its start to %q:\n%s", word, out)
	}
	for _, line := range strings.Split(out, "\n") {
		if n := strings.Count(out, line+"\n"); line != "" && strings.HasPrefix(line, "hup: good") && n > 4 {
			return fmt.Errorf("it was told %q %d times", line, n)
		}
	}
	return nil
}
