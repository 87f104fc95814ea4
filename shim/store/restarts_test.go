package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/restart"
)

// Records that can't be written leave the earlier ones, unless those have become untrue.
func TestSetRestartsThatFails(t *testing.T) {
	zero := uint32(0)
	ended := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, ExitStatus: &zero}
	taken := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Taken: true}
	condemned := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Condemned: "its live probe failed"}
	runs := restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Restarts: 1}
	remade := restart.Record{Digest: "d", CreatedAt: hosttest.Noon.Add(1), Restarts: 1}
	for _, tt := range []struct {
		name     string
		was, now restart.Record
		kept     bool
	}{
		{"it has ended in a row", ended, restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, ExitStatus: &zero, Row: 1}, true},
		{"it was created again", ended, remade, true},
		{"it has another definition", ended, restart.Record{Digest: "e", CreatedAt: hosttest.Noon.Add(1)}, true},
		{"the group starts from nothing", ended, restart.Record{Digest: "d"}, false},
		{"it was taken, and runs on", taken, runs, false},
		{"it was taken, and was created again", taken, remade, true},
		{"its probe failed, and runs on", condemned, runs, false},
		{"its probe failed, and has ended", condemned, restart.Record{Digest: "d", CreatedAt: hosttest.Noon, Ended: true, Condemned: "its live probe failed", Row: 1}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, l := newStore(t)
			full := false
			dir := filepath.Join(l.StateDir, "lives")
			s.Begin = func(change string) {
				if full && change == "write lives" {
					_ = os.Rename(dir, dir+".away")
				}
			}
			s.End = func(string) { _ = os.Rename(dir+".away", dir) }
			if err := s.SetRestarts("job", restart.Records{"migrate": ended, "web": tt.was}); err != nil {
				t.Fatal(err)
			}
			full = true
			if err := s.SetRestarts("job", restart.Records{"migrate": ended, "web": tt.now, "new": runs}); err == nil {
				t.Fatal("SetRestarts did not fail")
			}
			h, err := s.Restarts("job")
			if err != nil || h["migrate"].Ended != tt.kept {
				t.Errorf("kept %+v, error %v", h, err)
			}
		})
	}
}
