package crash

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// brittle is a group with something for every kind of step. Its members send to the victim from
// their first instruction on. The second version gives each kind of step a reason to act. %[2]s is
// a word, %[3]d a port of the host and the group's limit, %[4]s an address that the ambassador may
// reach, %[5]s the size of a volume, and %[6]s the name of another.
const brittle = `
group "brittle" {
  resources { pids = %[3]d }
  init "init" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo ran >> /keep/inits"]
    mount "keep" { path = "/keep" }
  }
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "5ms"]
    env     = { WORD = "%[2]s" }
    stop    { signal = "SIGKILL" }
    mount "data" { path = "/data" }
  }
  sidecar "late" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    after   = ["side"]
    stop    { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.66,2001:db8:51::66", "80", "5ms"]
    stop    { signal = "SIGKILL" }
    probe "ready" {
      exec     = ["/bin/true"]
      interval = "10s"
    }
    mount "%[6]s" { path = "/other" }
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "loop", "198.51.100.100", "80", "5ms"]
    stop    { signal = "SIGKILL" }
    allow   = ["198.51.100.100:80/tcp", "%[4]s:53/udp"]
    publish "p" {
      host = %[3]d
      port = 80
    }
  }
  volume "data" { size = "%[5]s" }
  volume "%[6]s" { size = "1MiB" }
  volume "keep" { persistent = true }
}
`

// steady is a group that no crash concerns.
const steady = `
group "steady" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
}
`

// batch is a job that fails. The failure of its app stops the group fuse. Each container writes a
// line each time it runs.
const (
	batch = `
group "batch" {
  egress = "none"
  init "init" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo ran >> /keep/inits"]
    mount "keep" { path = "/keep" }
  }
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo ran >> /keep/ran; exit 4"]
    restart { policy = "never" }
    mount "keep" { path = "/keep" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
  volume "keep" { persistent = true }
}
`
	fuse = `
group "fuse" {
  egress = "none"
  app "app" {
    image      = "%[1]s"
    command    = ["/bin/sh", "-c", "echo %[2]s >> /keep/ran; exit 3"]
    on_failure = "stop-group"
    mount "keep" { path = "/keep" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
  volume "keep" { persistent = true }
}
`
	// slow is a job that its timeout ends. %[2]s is its word. The time goes on while there is no
	// daemon: it has to be longer than a daemon's start on a busy machine.
	slow = `
group "slow" {
  egress  = "none"
  timeout = "6s"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo %[2]s >> /keep/ran; exec sleep 1000"]
    restart { policy = "never" }
    stop    { signal = "SIGKILL" }
    mount "keep" { path = "/keep" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
  volume "keep" { persistent = true }
}
`
)

// wary is a group whose updates are reverted when a container ends. %[2]s is its word, and %[3]s
// and %[4]s are its commands.
const wary = `
group "wary" {
  egress = "none"
  update {
    health_timeout = "10s"
    auto_revert    = true
    max_ends       = 1
  }
  app "app" {
    image   = "%[1]s"
    command = [%[3]s]
    env     = { WORD = "%[2]s" }
    probe "ready" { tcp = { port = 9000 } }
    stop { signal = "SIGKILL" }
  }
  app "other" {
    image   = "%[1]s"
    command = [%[4]s]
    stop { signal = "SIGKILL" }
  }
}
`

func (c *crashTest) brittle(version int) request {
	text := fmt.Sprintf(brittle, machine.AttackImage, "one", 8080, "203.0.113.1", "1MiB", "old")
	if version > 1 {
		text = fmt.Sprintf(brittle, machine.AttackImage, "two", 8081, "203.0.113.2", "2MiB", "new")
	}
	return c.application("brittle", text, func(apply []string) error {
		if g := c.Status("brittle"); g.State != group.Running || g.Error != "" || g.Waiting != "" {
			return fmt.Errorf("%s: %s%s", g.State, g.Waiting, g.Error)
		}
		before := c.Pids("brittle")
		if _, err := c.Try(apply...); err != nil {
			return err
		}
		if now := c.Pids("brittle"); len(now) != 4 || !maps.Equal(before, now) {
			return fmt.Errorf("it was %v, and after another apply %v", before, now)
		}
		if ran := c.lines("brittle", "inits"); ran != 1 {
			return fmt.Errorf("its init ran %d times", ran)
		}
		return nil
	})
}

// application requests that a group be as a file defines it. met gets the arguments of another such
// apply.
func (c *crashTest) application(group, text string, met func(apply []string) error) request {
	args := []string{"apply", c.Write(group+".hcl", text)}
	return request{group: group, args: args, text: text, met: func() error { return met(args) }}
}

func (c *crashTest) removal(group string) request {
	return request{group: group, args: []string{"rm", "--volumes", group}}
}

func (c *crashTest) batch() request {
	return c.application("batch", fmt.Sprintf(batch, machine.AttackImage), func([]string) error { return c.batchEnded(1, 1) })
}

// batchAgain is a request that is not written to disk, so a crash may undo it.
func (c *crashTest) batchAgain() request {
	return request{group: "batch", args: []string{"restart", "batch"}, text: fmt.Sprintf(batch, machine.AttackImage), met: func() error { return c.batchEnded(1, 2) }}
}

// batchEnded returns nil if the job has ended as it should, and its app and init ran equally often,
// within the limits.
func (c *crashTest) batchEnded(least, most int) error {
	g := c.Status("batch")
	if g.State != group.Completed || !strings.HasPrefix(g.Error, "app (app) ended with status 4") || len(c.Pids("batch")) > 0 {
		return fmt.Errorf("%s: %s", g.State, g.Error)
	}
	if ran, inits := c.lines("batch", "ran"), c.lines("batch", "inits"); ran < least || ran > most || ran != inits {
		return fmt.Errorf("it ran %d times, its init %d times", ran, inits)
	}
	return nil
}

func (c *crashTest) fuse(version int) request {
	return c.application("fuse", fmt.Sprintf(fuse, machine.AttackImage, fmt.Sprint(version)), func([]string) error {
		g := c.Status("fuse")
		if g.State != group.Stopped || !strings.Contains(g.Error, "app (app) ended with status 3, and its on_failure stops the group") || len(c.Pids("fuse")) > 0 {
			return fmt.Errorf("%s: %s", g.State, g.Error)
		}
		if ran := c.lines("fuse", "ran"); ran != version {
			return fmt.Errorf("version %d of it has blown, and it ran %d times", version, ran)
		}
		return nil
	})
}

// slow requests a job that runs once in each version, and no longer than its timeout.
func (c *crashTest) slow(version int) request {
	r := c.application("slow", fmt.Sprintf(slow, machine.AttackImage, fmt.Sprint(version)), func([]string) error {
		g := c.Status("slow")
		if g.State != group.Stopped || !g.TimedOut || g.Error != "timed out after 6s" || len(c.Pids("slow")) > 0 {
			return fmt.Errorf("%s: %s", g.State, g.Error)
		}
		if ran := c.lines("slow", "ran"); ran != version {
			return fmt.Errorf("version %d of it was ended, and it ran %d times", version, ran)
		}
		return nil
	})
	r.later = true
	return r
}

// waryText returns a version of the wary group. It reverts to the first one.
func waryText(word string) string {
	return fmt.Sprintf(wary, machine.AttackImage, word, `"/attack", "listen", "9000"`, `"/bin/sleep", "1000"`)
}

// waryUpdate requests a good version, another one each time.
func (c *crashTest) waryUpdate(n int) request {
	if c.snapshot("wary").text == "" {
		c.Apply("wary.hcl", waryText("first"))
	}
	word := fmt.Sprint("better", n)
	return c.application("wary", waryText(word), func([]string) error { return c.waryIs(word, "") })
}

func (c *crashTest) waryRollback() request {
	return request{group: "wary", args: []string{"rollback", "wary"}, text: waryText("first"), met: func() error { return c.waryIs("first", "") }}
}

// waryBad requests a version that never becomes ready: one app is not, and runs, and the other
// ends.
func (c *crashTest) waryBad(n int) request {
	bad := fmt.Sprintf(wary, machine.AttackImage, fmt.Sprint("worse", n), `"/bin/sleep", "1000"`, `"/bin/false"`)
	d := c.application("wary", bad, func([]string) error { return c.waryIs("first", "was taken back: other (app) ended with status 1") })
	d.text, d.transient = waryText("first"), true
	return d
}

// waryIs returns nil if the group runs with that word, its generation is proved, and its error
// contains the complaint.
func (c *crashTest) waryIs(word, complaint string) error {
	g := c.Status("wary")
	if g.State != group.Running || !strings.Contains(g.Error, complaint) || complaint == "" && g.Error != "" {
		return fmt.Errorf("%s, error %q", g.State, g.Error)
	}
	var history []group.Generation
	if err := json.Unmarshal([]byte(c.Run("history", "--json", "wary")), &history); err != nil {
		return err
	}
	if newest := history[0]; newest.Number != g.Generation || newest.Outcome != group.Proved {
		return fmt.Errorf("generation %d is %s", newest.Number, newest.Outcome)
	}
	if now := c.snapshot("wary").text; now != waryText(word) {
		return fmt.Errorf("its file is:\n%s", now)
	}
	env, err := c.Try("exec", "wary.app", "--", "env")
	if err != nil {
		return err
	}
	return machine.Contains(env, "WORD="+word+"\n")
}
