//go:build failpoint

package main

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailpoint(t *testing.T) {
	tests := []struct {
		file string
		what []string // each begins and ends
		want int      // how many begins and ends come before the death. -1: it survives
	}{
		{"", []string{"create"}, -1},
		{"before:create:1", []string{"seal", "create"}, 2},
		{"after:create:1", []string{"seal", "create", "create"}, 3},
		{"before:start:2", []string{"start", "stop", "start"}, 4},
		{"during:start:2", []string{"start", "start"}, 3},
		{"after:start:3", []string{"start", "start"}, -1},
		{"before:write wanted:2", []string{"write wanted", "write history", "write wanted"}, 4},
		{"create", []string{"create"}, -1},
		{"before:create:x", []string{"create"}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "failpoint")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				f := newFailpoint([]string{"HOME=/", failpointEnv + "=" + path})
				var done, died atomic.Int32
				died.Store(-1)
				f.die = func() { died.CompareAndSwap(-1, done.Load()) } // from a timer's goroutine
				for _, what := range tt.what {
					f.begin(what)
					done.Add(1)
					time.Sleep(2 * failpointDelay)
					synctest.Wait()
					f.end(what)
					done.Add(1)
				}
				if died := int(died.Load()); died != tt.want {
					t.Errorf("died after %d, want %d", died, tt.want)
				}
			})
		})
	}
}

// A daemon that lives on counts from one again when the file changes.
func TestFailpointChangesWhileTheDaemonRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failpoint")
	f := newFailpoint([]string{failpointEnv + "=" + path})
	var died []string
	f.die = func() { died = append(died, f.text) }
	for _, text := range []string{"before:stop:2", "", "before:stop:1"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f.begin("stop")
		f.end("stop")
	}
	if got := strings.Join(died, " "); got != "before:stop:1" {
		t.Errorf("died at %q", got)
	}
}

func TestFailpointIsForTestsAlone(t *testing.T) {
	if f := newFailpoint([]string{"HOME=/", failpointEnv + "="}); f != nil {
		t.Errorf("it waits for %+v", f)
	}
}
