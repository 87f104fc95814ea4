package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// moving is a group whose app's image is an archive that is replaced.
const moving = `
group "moving" {
  egress = "none"
  app "app" {
    image   = "oci-archive:%s"
    command = ["/bin/sleep", "1000"]
    stop { signal = "SIGKILL" }
  }
}
`

// TestImagesOfAGeneration: what an image name means is settled by an apply, and by nothing else; a rollback goes back to what it
// meant, with the text unchanged and the archive of then gone.
func TestImagesOfAGeneration(t *testing.T) {
	for name, server := range servers(t) {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t, server)
			archive := filepath.Join(m.root, "moving.tar")
			put := func(from string) {
				t.Helper()
				text, err := os.ReadFile(strings.TrimPrefix(from, "oci-archive:"))
				if err == nil {
					err = os.WriteFile(archive, text, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			// expect tells the images apart by a program that one of them has.
			expect := func(when string, generation int, attack bool) {
				t.Helper()
				eventually(t, 20*time.Second, when, func() error {
					if _, err := m.try("exec", "moving.app", "--", "/bin/true"); err != nil {
						return err
					}
					_, err := m.try("exec", "moving.app", "--", "/bin/test", "-e", "/attack")
					if g := m.status("moving"); g.Generation != generation || (err == nil) != attack || g.Error != "" {
						return fmt.Errorf("generation %d with /attack: %v, error %q; want generation %d, %v", g.Generation, err == nil, g.Error, generation, attack)
					}
					return nil
				})
			}
			put(image(t, "busybox"))
			m.apply("moving.hcl", fmt.Sprintf(moving, archive))
			expect("at first", 1, false)
			put(attackImage)
			m.run("restart", "moving")
			expect("restarted", 1, false)
			m.stop()
			m.start()
			m.run("stop", "moving")
			m.run("start", "moving")
			expect("started anew by the next daemon", 1, false)

			m.apply("moving.hcl", fmt.Sprintf(moving, archive))
			expect("applied again", 2, true)
			m.run("rollback", "moving")
			expect("rolled back", 3, false)
			if err := os.Remove(archive); err != nil {
				t.Fatal(err)
			}
			m.kill()
			m.start()
			m.run("restart", "moving")
			expect("after the daemon's end, without the archive", 3, false)
			m.run("rollback", "moving", "--to", "2")
			expect("forward again", 4, true)
			events := m.run("events", "moving")
			if err := says(events, "accepted", "generation 2, by apply of moving.hcl", "rollback", "put back as generation 4"); err != nil {
				t.Error(err)
			}
		})
	}
}
