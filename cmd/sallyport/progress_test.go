package main

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A verb that waits for long names what it waits for, less often each time.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said syncBuilder
		p := (&ui{err: &said}).wait("for its turn")
		time.Sleep(quiet + 2*quiet + time.Second)
		p.line("web: stop app")
		time.Sleep(quiet + time.Second)
		p.end()
		time.Sleep(10 * quiet)
		want := `sallyport: still waiting for its turn, for 15s; Ctrl-C ends the waiting, not the work
sallyport: still waiting for its turn, for 45s; Ctrl-C ends the waiting, not the work
sallyport: web: stop app
sallyport: still at "web: stop app", for 15s; Ctrl-C ends the waiting, not the work
`
		if diff := cmp.Diff(want, said.String()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// A syncBuilder is a strings.Builder for several goroutines.
type syncBuilder struct {
	mu sync.Mutex
	strings.Builder
}

func (b *syncBuilder) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}
