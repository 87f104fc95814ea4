package life

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// limitedDisk is a sealed group with a bound on a root file system, and one on a volume.
const limitedDisk = `
group "%[2]s" {
  egress = "none"
  app "web" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    mount "data" { path = "/data" }
    resources { disk = "8MiB" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    mount "data" { path = "/data" }
  }
  volume "data" {
    persistent = true
    size       = "%[3]s"
  }
}
`

// TestDisk writes past each bound on disk. Where the kernel has project quotas the write is
// refused. Elsewhere the group ends with its reason. No other group notices.
func TestDisk(t *testing.T) {
	m := machine.New(t, "")
	apply := func(name, size string) {
		m.Apply(name+".hcl", fmt.Sprintf(limitedDisk, machine.AttackImage, name, size))
	}
	apply("full", "8MiB")
	apply("other", "8MiB")
	hard := true
	for _, b := range m.Status("full").Bounds {
		hard = hard && b.Hard
		if b.Soft == "" != b.Hard || b.Used == 0 || b.Passed() {
			t.Errorf("at first: %+v", b)
		}
	}
	if n := len(m.Status("full").Bounds); n != 2 {
		t.Fatalf("%d bounds", n)
	}
	t.Logf("hard: %v", hard)

	before, others := m.Pids("full"), m.Pids("other")
	apply("full", "16MiB")
	if after := m.Pids("full"); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("another size: processes %v, before %v", after, before)
	}
	fill := func(name, path string, mib int) (string, error) {
		return m.Try("exec", name+".web", "--", "/bin/dd", "if=/dev/zero", "of="+path, "bs=1048576", fmt.Sprint("count=", mib))
	}
	for _, tt := range []struct{ what, path, passed string }{
		{"volume", "/data/more", "volume data holds"},
		{"disk", "/more", "web has written"},
	} {
		if out, err := fill("full", tt.path, 4); err != nil {
			t.Fatalf("%s: within the bound: %v: %s", tt.what, err, out)
		}
		out, err := fill("full", tt.path, 32)
		if refused := err != nil && (strings.Contains(out, "No space left") || strings.Contains(out, "quota exceeded")); refused != hard {
			t.Errorf("%s: past the bound: %v: %s", tt.what, err, out)
		}
		if !hard {
			machine.Eventually(t, 2*time.Minute, "the group has ended", func() error {
				st := m.Status("full")
				if st.State != group.Stopped {
					return fmt.Errorf("it is %s, %v", st.State, st.Bounds)
				}
				return machine.Contains(st.Error+st.Hint, tt.passed, "and its bound is", "sallyport start full")
			})
			if tt.what == "volume" { // what the layer has is deleted with it
				if err := os.Remove(filepath.Join(m.Root, "state", "volumes", "full", "data", "more")); err != nil {
					t.Fatal(err)
				}
			}
			m.Run("start", "full")
		}
		m.AwaitRunning("full")
		if out, err := fill("other", tt.path, 4); err != nil {
			t.Errorf("%s: the other group: %v: %s", tt.what, err, out)
		}
	}
	if after := m.Pids("other"); fmt.Sprint(after) != fmt.Sprint(others) {
		t.Errorf("the other group's processes are %v, before %v", after, others)
	}
	if out := m.Run("doctor", "--json"); !strings.Contains(out, "other: disk of web: ") || !strings.Contains(out, "other: volume data: ") {
		t.Errorf("doctor lacks the bounds:\n%s", out)
	}

	// No container gets out of its bound, with any call. Reading is the control.
	for _, container := range []string{"web", "side"} {
		for _, technique := range []string{"project", "project-upper", "project-flags", "project-flags-32", "project-setattr", "project-read"} {
			var got struct{ Error string }
			if err := json.Unmarshal([]byte(m.Run("exec", "other."+container, "--", "/attack", "try", technique, "192.0.2.1", "1")), &got); err != nil {
				t.Fatal(err)
			}
			if refused := got.Error != ""; refused != (technique != "project-read") {
				t.Errorf("%s by %s: error %q", technique, container, got.Error)
			}
		}
	}
}
