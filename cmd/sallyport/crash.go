package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// crashEnv names a file in which a test says where the daemon is to kill itself, so that it sees what the next one makes of it.
// "before:create:2" is when the second of these begins, from then on, "during" is a moment later, and "after" when it has ended.
// What is counted are the kinds of steps, the changes of the store's files ("write wanted"), and some calls (crash_calls.go). The file
// is read at each of them: the daemon that recovers from one crash is the one that comes to the next. It is told of nowhere else.
const crashEnv = "SALLYPORT_CRASH"

// crashMoment is how far into its point a crash during it comes: within what a runtime takes, after what the kernel does.
const crashMoment = 15 * time.Millisecond

// A crash waits for its point. Nil waits for none.
type crash struct {
	path string
	die  func()

	mu   sync.Mutex
	text string // of the file when it was read last
	seen int    // how often that has come
}

// newCrash is nil unless a test asks for it.
func newCrash(environ []string) *crash {
	for _, kv := range environ {
		if path, ok := strings.CutPrefix(kv, crashEnv+"="); ok && path != "" {
			return &crash{path: path, die: killSelf}
		}
	}
	return nil
}

// killSelf ends the daemon as no handler can know of, and doesn't return.
func killSelf() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// begin comes before something that a crash may wait for.
func (c *crash) begin(what string) {
	if c == nil {
		return
	}
	if c.due("before", what) {
		c.die()
	}
	if c.due("during", what) {
		time.AfterFunc(crashMoment, c.die)
	}
}

// end comes after it.
func (c *crash) end(what string) {
	if c != nil && c.due("after", what) {
		c.die()
	}
}

// due says that this is the point. A file that is not there, or says something else, means none.
func (c *crash) due(when, what string) bool {
	text, _ := os.ReadFile(c.path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if string(text) != c.text {
		c.text, c.seen = string(text), 0
	}
	number, ok := strings.CutPrefix(c.text, when+":"+what+":")
	if !ok {
		return false
	}
	c.seen++
	return number == fmt.Sprint(c.seen)
}

// beginStep is for [shim.RunnerConfig.Before].
func (c *crash) beginStep(_ string, s shim.Step) { c.begin(string(s.Kind)) }

// endStep is for [shim.RunnerConfig.Trace].
func (c *crash) endStep(_ string, s shim.Step, _ time.Duration) { c.end(string(s.Kind)) }
