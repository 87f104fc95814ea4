package integration

import (
	"fmt"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim"
)

// grown is a group in the words of the first release. Its second argument is what later ones added to it, the third what they
// added to its sidecar.
const grown = `
group "grown" {
  %[2]s
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    mount "scratch" { path = "/scratch" }
    stop { signal = "SIGKILL" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
    %[3]s
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    allow   = ["203.0.113.0/24:443/tcp"]
    publish "web" {
      host = 8080
      port = 8080
    }
    resources { memory = "64MiB" }
    stop { signal = "SIGKILL" }
  }
  volume "scratch" { size = "1MiB" }
}
`

// TestUpgrade: the daemon takes over what an older one runs, which knew neither probes nor updates, bounds of groups nor lasting
// volumes, and restarts none of it. The first words that only it knows change what they are about and nothing else.
// `make test-upgrade` builds the older one.
func TestUpgrade(t *testing.T) {
	older := os.Getenv("SALLYPORT_OLDER_BIN")
	if older == "" {
		need(t, "SALLYPORT_OLDER_BIN is not set: run make test-upgrade")
	}
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newIdleMachine(t, server)
			newer := binary
			t.Cleanup(func() { binary = newer })
			binary = older
			m.start()
			m.apply("grown.hcl", fmt.Sprintf(grown, attackImage, "", ""))
			before := m.pids("grown")

			m.stop()
			binary = newer
			m.start()
			m.awaitRunning("grown")
			if diff := cmp.Diff(before, m.pids("grown")); diff != "" {
				t.Errorf("the upgrade restarted containers (-before +after):\n%s", diff)
			}
			if g := m.status("grown"); g.State != shim.Running || g.Error != "" {
				t.Errorf("the group is %s: %s", g.State, g.Error)
			}

			m.apply("grown.hcl", fmt.Sprintf(grown, attackImage,
				`update { health_timeout = "30s" }
                 resources { pids = 100 }
                 volume "kept" { persistent = true }`,
				`mount "kept" { path = "/kept" }
                 probe "ready" { exec = ["/bin/true"] }`))
			after := m.pids("grown")
			for _, c := range []string{"app", "amb"} {
				if before[c] != after[c] {
					t.Errorf("%s was replaced by words about others: process %d, then %d", c, before[c], after[c])
				}
			}
			if before["side"] == after["side"] {
				t.Error("the sidecar did not get its volume")
			}
			m.run("rm", "--volumes", "grown")
		})
	}
}
