package shim_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/shim/shimtest"
)

// What can't be written down takes what was true with it only where that has become untrue.
func TestLivesThatCantBeWrittenKeepWhatIsTrue(t *testing.T) {
	zero := uint32(0)
	ended := shim.Life{Digest: "d", Made: shimtest.Noon, Ended: true, ExitStatus: &zero}
	taken := shim.Life{Digest: "d", Made: shimtest.Noon, Taken: true}
	condemned := shim.Life{Digest: "d", Made: shimtest.Noon, Condemned: "its live probe failed"}
	runs := shim.Life{Digest: "d", Made: shimtest.Noon, Restarts: 1}
	remade := shim.Life{Digest: "d", Made: shimtest.Noon.Add(1), Restarts: 1}
	for _, tt := range []struct {
		name     string
		was, now shim.Life
		kept     bool
	}{
		{"it has ended in a row", ended, shim.Life{Digest: "d", Made: shimtest.Noon, Ended: true, ExitStatus: &zero, Row: 1}, true},
		{"it has been made anew", ended, remade, true},
		{"it has another definition", ended, shim.Life{Digest: "e", Made: shimtest.Noon.Add(1)}, true},
		{"the group begins from nothing", ended, shim.Life{Digest: "d"}, false},
		{"it was taken, and runs on", taken, runs, false},
		{"it was taken, and has been made anew", taken, remade, true},
		{"it was condemned, and runs on", condemned, runs, false},
		{"it was condemned, and has ended", condemned, shim.Life{Digest: "d", Made: shimtest.Noon, Ended: true, Condemned: "its live probe failed", Row: 1}, true},
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
			if err := s.SetLives("job", shim.History{"migrate": ended, "web": tt.was}); err != nil {
				t.Fatal(err)
			}
			full = true
			if err := s.SetLives("job", shim.History{"migrate": ended, "web": tt.now, "new": runs}); err == nil {
				t.Fatal("it was written")
			}
			h, err := s.Lives("job")
			if err != nil || h["migrate"].Ended != tt.kept {
				t.Errorf("kept %+v, error %v", h, err)
			}
		})
	}
}
