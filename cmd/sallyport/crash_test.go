package main

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim"
)

func TestCrash(t *testing.T) {
	tests := []struct {
		env   string
		steps []shim.Kind // each begins and ends
		want  int         // how many begins and ends come before the death; -1: it lives
	}{
		{"", []shim.Kind{shim.Create}, -1},
		{"before:create:1", []shim.Kind{shim.Seal, shim.Create}, 2},
		{"after:create:1", []shim.Kind{shim.Seal, shim.Create, shim.Create}, 3},
		{"before:start:2", []shim.Kind{shim.Start, shim.Stop, shim.Start}, 4},
		{"during:start:2", []shim.Kind{shim.Start, shim.Start}, 3},
		{"after:start:3", []shim.Kind{shim.Start, shim.Start}, -1},
	}
	for _, tt := range tests {
		t.Run(tt.env, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := parseCrash([]string{"HOME=/", crashEnv + "=" + tt.env})
				if err != nil {
					t.Fatal(err)
				}
				var told, died atomic.Int32
				died.Store(-1)
				if c != nil {
					c.die = func() { died.Store(told.Load()) } // from a timer's goroutine
				}
				for _, k := range tt.steps {
					c.begin("g", shim.Step{Kind: k})
					told.Add(1)
					time.Sleep(2 * crashMoment)
					synctest.Wait()
					c.end("g", shim.Step{Kind: k}, 0)
					told.Add(1)
				}
				if died := int(died.Load()); died != tt.want {
					t.Errorf("died after %d, want %d", died, tt.want)
				}
			})
		})
	}
	for _, bad := range []string{"create", "before:create", "before:create:0", "before::1", "near:create:1", "before:create:x"} {
		if c, err := parseCrash([]string{crashEnv + "=" + bad}); err == nil {
			t.Errorf("%q is %+v", bad, c)
		}
	}
}
