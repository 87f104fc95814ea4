package crash

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// A damagedMachine is a machine whose warnings are read.
type damagedMachine struct{ *machine.Machine }

// combined returns what a command prints, warnings included.
func (m damagedMachine) combined(args ...string) (string, error) {
	cmd := exec.Command(m.Binary, append([]string{"--root", m.Root}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := machine.InNetns(m.Host, cmd.Run)
	return out.String(), err
}

// TestDamagedState damages files of the state folder while no daemon runs. The next one starts, the
// groups run on or stay stopped, and what it says to type mends it. All files and all damages are
// in the test of that name in package keeper.
func TestDamagedState(t *testing.T) {
	m := damagedMachine{machine.New(t, "")}
	pair := `variable "line" { type = string }` + fmt.Sprintf(machine.Pair, machine.AttackImage, "${var.line}")
	apply := func(line string) { m.Run("apply", "--var", "line="+line, m.Write("pair.hcl", pair)) }
	apply("one")
	apply("two")
	m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
	m.Run("stop", "steady")
	before := m.Pids("pair")

	garbage := func(path string) error { return os.WriteFile(path, []byte("\xff{"), 0o600) }
	folder := func(path string) error {
		return errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "more"), 0o700))
	}
	for _, tt := range []struct {
		file   string
		damage func(path string) error
	}{
		{"applied/pair.hcl.json", os.Remove},
		{"applied/pair.hcl.json", folder},
		{"wanted/pair.json", garbage},
		{"wanted/pair.json", folder},
		{"wanted/steady.json", os.Remove},
		{"wanted/steady.json", garbage},
		{"history/pair.json", garbage},
		{"generations/pair.1.json", garbage},
		{"events/others.jsonl", folder},
		{"events/others.old.jsonl", func(path string) error { return os.MkdirAll(path, 0o700) }},
	} {
		m.Stop()
		path := filepath.Join(m.Root, "state", tt.file)
		if err := tt.damage(path); err != nil {
			t.Fatal(err)
		}
		m.Start()
		if now := m.Pids("pair"); !maps.Equal(before, now) {
			t.Errorf("%s: %v, then %v", tt.file, before, now)
		}
		for name, want := range map[string]string{"pair": "running 2", "steady": "stopped 1"} {
			if st := m.Status(name); fmt.Sprintf("%s %d", st.State, st.Generation) != want || st.Error != "" {
				t.Errorf("%s: %s is %s %d, error %q", tt.file, name, st.State, st.Generation, st.Error)
			}
		}
		aside, _ := filepath.Glob(path + ".damaged*")
		text, err := m.combined("ps")
		if err != nil || len(aside) > 0 && !strings.Contains(text, "type: rm -r "+aside[0]) {
			t.Errorf("%s: ps prints %s, error %v", tt.file, text, err)
		}
		if len(m.Events("", group.EventMended))+len(aside) == 0 {
			t.Errorf("%s: nothing is told", tt.file)
		}
		for _, path := range aside {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := m.combined("ps"); err != nil || strings.Contains(text, "warning") {
			t.Errorf("%s: after that ps prints %s, error %v", tt.file, text, err)
		}
	}
	apply("three")
	if st := m.Status("pair"); st.Generation != 3 {
		t.Errorf("the next apply makes generation %d", st.Generation)
	}
}
