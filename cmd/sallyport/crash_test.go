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

func TestCrash(t *testing.T) {
	tests := []struct {
		file string
		what []string // each begins and ends
		want int      // how many begins and ends come before the death; -1: it lives
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
			path := filepath.Join(t.TempDir(), "crash")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				c := newCrash([]string{"HOME=/", crashEnv + "=" + path})
				var told, died atomic.Int32
				died.Store(-1)
				c.die = func() { died.CompareAndSwap(-1, told.Load()) } // from a timer's goroutine
				for _, what := range tt.what {
					c.begin(what)
					told.Add(1)
					time.Sleep(2 * crashMoment)
					synctest.Wait()
					c.end(what)
					told.Add(1)
				}
				if died := int(died.Load()); died != tt.want {
					t.Errorf("died after %d, want %d", died, tt.want)
				}
			})
		})
	}
}

// A daemon that has lived on counts anew when the file says something else.
func TestCrashIsToldWhileTheDaemonRuns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "crash")
	c := newCrash([]string{crashEnv + "=" + path})
	var died []string
	c.die = func() { died = append(died, c.text) }
	for _, text := range []string{"before:stop:2", "", "before:stop:1"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c.begin("stop")
		c.end("stop")
	}
	if got := strings.Join(died, " "); got != "before:stop:1" {
		t.Errorf("died at %q", got)
	}
}

func TestCrashIsForTestsAlone(t *testing.T) {
	if c := newCrash([]string{"HOME=/", crashEnv + "="}); c != nil {
		t.Errorf("it waits for %+v", c)
	}
}
