package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestShippedBinaryHasNoFailpoint starts the shipped binary with a failpoint in its environment. It
// lives past that point, and doesn't even hold the variable's name. The control is the binary of
// the other crash tests, which holds it.
func TestShippedBinaryHasNoFailpoint(t *testing.T) {
	for binary, want := range map[string]bool{machine.Binary: false, failpointBinary: true} {
		program, err := os.ReadFile(binary)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(program, []byte(failpointEnv)); got != want {
			t.Errorf("%s holds the name %s: %v, want %v", filepath.Base(binary), failpointEnv, got, want)
		}
	}

	m := machine.NewIdle(t, "")
	file := filepath.Join(m.Root, "failpoint")
	if err := os.WriteFile(file, []byte("before:create:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Start(failpointEnv + "=" + file)
	m.Apply("steady.hcl", fmt.Sprintf(steady, machine.AttackImage))
	if m.Exited() {
		t.Error("the shipped binary killed itself at a failpoint")
	}
}
