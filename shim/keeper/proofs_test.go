package keeper_test

import (
	"testing"
	"testing/synctest"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// provedImages answers with the digest that it is asked for.
type provedImages struct{}

func (provedImages) ProofOf(c spec.Container, digest string) host.ImageProof {
	return host.ImageProof{SignedBy: []string{c.Name + " " + digest}, Missing: "no proof"}
}

// The status of one group has what is proved of its images. That of all groups hasn't, and the
// runner's own is not changed.
func TestStatusHasProofs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		h.config = func(c *keeper.Config) { c.Proofs = provedImages{} }
		h.begin()
		defer h.end()
		h.host.SetImage("registry.example/once:1", "sha256:old")
		if _, err := h.apply("job.hcl", job); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{"job": "once sha256:old", "": ""} {
			all, err := h.keeper.Status(name)
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			got := ""
			if c := all[0].Containers[0]; len(c.SignedBy) > 0 {
				got = c.SignedBy[0]
			}
			if got != want || (all[0].Containers[0].Unproved != "") != (want != "") {
				t.Errorf("status of %q: %q, %q", name, got, all[0].Containers[0].Unproved)
			}
		}
		if _, err := h.keeper.Status("none"); err == nil {
			t.Error("there is a group none")
		}
	})
}
