//go:build failpoint

package main

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/plan"
)

// failpointEnv names a file. In it a test writes where the daemon is to kill itself, to see what
// the next daemon makes of that.
//
// "before:create:2" is the moment when the second create begins, counted from then on. "during" is
// a moment later, "after" is when it has ended. With "hang" the daemon doesn't die before the step:
// its loop hangs there until the file is gone. Three things are counted: the kinds of steps, the
// changes of the store's files ("write wanted"), and some calls (see failpoint_calls.go).
//
// The daemon reads the file each time, because the daemon that recovers from one death is the one
// that dies next.
const failpointEnv = "SALLYPORT_FAILPOINT"

// failpointDelay is how long after its begin a step dies "during" it: after what the kernel does,
// within what a runtime takes.
const failpointDelay = 15 * time.Millisecond

// A failpoint kills the daemon at one point. A nil failpoint never does.
type failpoint struct {
	path string
	die  func()

	mu   sync.Mutex
	text string // of the file when it was last read
	seen int    // how often its point has come since
}

// withFailpoints returns config with the failpoint that the environment asks for.
func withFailpoints(config keeper.Config, environ []string) keeper.Config {
	return newFailpoint(environ).watch(config)
}

// newFailpoint returns nil unless the environment asks for a failpoint.
func newFailpoint(environ []string) *failpoint {
	for _, kv := range environ {
		if path, ok := strings.CutPrefix(kv, failpointEnv+"="); ok && path != "" {
			return &failpoint{path: path, die: killSelf}
		}
	}
	return nil
}

// killSelf ends the daemon in a way that no handler can notice. It doesn't return.
func killSelf() {
	_ = unix.Kill(os.Getpid(), unix.SIGKILL)
	select {}
}

// begin comes before something that may be a point.
func (f *failpoint) begin(what string) {
	if f == nil {
		return
	}
	if f.due("before", what) {
		f.die()
	}
	if f.due("hang", what) {
		f.hang()
	}
	if f.due("during", what) {
		time.AfterFunc(failpointDelay, f.die)
	}
}

// hang returns when the file is gone.
func (f *failpoint) hang() {
	for {
		if _, err := os.Stat(f.path); err != nil {
			return
		}
		time.Sleep(failpointDelay)
	}
}

// end comes after it.
func (f *failpoint) end(what string) {
	if f != nil && f.due("after", what) {
		f.die()
	}
}

// due reports whether this is the point. A missing file, or one with another text, means no point.
func (f *failpoint) due(when, what string) bool {
	text, _ := os.ReadFile(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	if string(text) != f.text {
		f.text, f.seen = string(text), 0
	}
	number, ok := strings.CutPrefix(f.text, when+":"+what+":")
	if !ok {
		return false
	}
	f.seen++
	return number == fmt.Sprint(f.seen)
}

// beginStep is for [keeper.Config.Before].
func (f *failpoint) beginStep(_ string, s plan.Step) { f.begin(string(s.Kind)) }

// endStep is for [keeper.Config.Trace].
func (f *failpoint) endStep(_ string, s plan.Step, _ time.Duration) { f.end(string(s.Kind)) }
