package life

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
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

// TestImagesOfAGeneration checks that only an apply decides which digest an image name means. A
// rollback goes back to the digest of that generation, with the text unchanged and the archive of
// that time gone.
func TestImagesOfAGeneration(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			m := machine.New(t, server)
			archive := filepath.Join(m.Root, "moving.tar")
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
			// expect distinguishes the images by a program that only one of them has.
			expect := func(when string, generation int, attack bool) {
				t.Helper()
				machine.Eventually(t, time.Minute, when, func() error {
					if _, err := m.Try("exec", "moving.app", "--", "/bin/true"); err != nil {
						return err
					}
					_, err := m.Try("exec", "moving.app", "--", "/bin/test", "-e", "/attack")
					if g := m.Status("moving"); g.Generation != generation || (err == nil) != attack || g.Error != "" {
						return fmt.Errorf("generation %d with /attack: %v, error %q; want generation %d, %v", g.Generation, err == nil, g.Error, generation, attack)
					}
					return nil
				})
			}
			put(machine.Image(t, "busybox"))
			m.Apply("moving.hcl", fmt.Sprintf(moving, archive))
			expect("at first", 1, false)
			put(machine.AttackImage)
			m.Run("restart", "moving")
			expect("restarted", 1, false)
			m.Stop()
			m.Start()
			m.Run("stop", "moving")
			m.Run("start", "moving")
			expect("started anew by the next daemon", 1, false)

			m.Apply("moving.hcl", fmt.Sprintf(moving, archive))
			expect("applied again", 2, true)
			m.Run("rollback", "moving")
			expect("rolled back", 3, false)
			if err := os.Remove(archive); err != nil {
				t.Fatal(err)
			}
			m.Kill()
			m.Start()
			m.Run("restart", "moving")
			expect("after the daemon's end, without the archive", 3, false)
			m.Run("rollback", "moving", "--to", "2")
			expect("forward again", 4, true)
			events := m.Run("events", "moving")
			if err := machine.Contains(events, "accepted", "generation 2, by apply of moving.hcl", "rollback", "put back as generation 4"); err != nil {
				t.Error(err)
			}
		})
	}
}
