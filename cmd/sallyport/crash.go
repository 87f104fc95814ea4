package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// crashEnv has the daemon kill itself at a step, so that a test sees what the next daemon makes of it. "before:create:2" is when
// the second step of that kind begins, "during" is a moment later, and "after" when it has ended. It is told of nowhere else.
const crashEnv = "SALLYPORT_CRASH"

// crashMoment is how far into its step a crash during it comes: within what a runtime takes, after what the kernel does.
const crashMoment = 15 * time.Millisecond

// A crash waits for its step. Nil waits for none.
type crash struct {
	when string
	kind shim.Kind
	nth  int64
	seen atomic.Int64
	die  func()
}

func parseCrash(environ []string) (*crash, error) {
	for _, kv := range environ {
		text, ok := strings.CutPrefix(kv, crashEnv+"=")
		if !ok || text == "" {
			continue
		}
		when, rest, _ := strings.Cut(text, ":")
		kind, number, _ := strings.Cut(rest, ":")
		nth, err := strconv.ParseInt(number, 10, 64)
		if err != nil || nth < 1 || kind == "" || when != "before" && when != "during" && when != "after" {
			return nil, fmt.Errorf("%s is %q, which is not like before:create:2", crashEnv, text)
		}
		return &crash{when: when, kind: shim.Kind(kind), nth: nth, die: killSelf}, nil
	}
	return nil, nil
}

// killSelf ends the daemon as no handler can know of, and doesn't return.
func killSelf() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// begin is for [shim.Config.Before].
func (c *crash) begin(_ string, s shim.Step) {
	if c == nil || s.Kind != c.kind || c.when == "after" || c.seen.Add(1) != c.nth {
		return
	}
	if c.when == "during" {
		time.AfterFunc(crashMoment, c.die)
		return
	}
	c.die()
}

// end is for [shim.Config.Trace].
func (c *crash) end(_ string, s shim.Step, _ time.Duration) {
	if c != nil && s.Kind == c.kind && c.when == "after" && c.seen.Add(1) == c.nth {
		c.die()
	}
}
