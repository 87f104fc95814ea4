package keeper_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// probed is a group whose app has a ready probe.
const probed = `
group "probed" {
  egress = "none"
  update {
    health_timeout = "1m"
    auto_revert    = true
  }
  app "web" {
    image = "registry.example/web:1"
    probe "ready" { http = { port = 8080, path = "/healthz" } }
  }
}
`

var (
	probed2 = edited(probed, "web:1", "web:2")
	err503  = errors.New("http 127.0.0.1:8080/healthz: status 503")
)

// withProbe runs a test with a probed group that has proved itself.
func withProbe(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) { c.Prober = h.host.Prober() }
		h.begin()
		h.mustApply("probed.hcl", probed)
		h.checkHistory("probed", "1 apply proved")
		do(t, h)
	})
}

func TestUpdateWhoseProbeFailsIsReverted(t *testing.T) {
	withProbe(t, func(t *testing.T, h *harness) {
		h.host.Answer("probed", "web", "ready", err503)
		go func() { time.Sleep(65 * time.Second); h.host.Answer("probed", "web", "ready", nil) }()
		_, err := h.apply("probed.hcl", probed2)
		if err == nil || !strings.Contains(err.Error(), "generation 2 was taken back: not ready within 1m0s: waits for web (app) to be ready") ||
			!strings.Contains(err.Error(), "status 503") {
			t.Errorf("apply: %v", err)
		}
		if st := h.status("probed"); st.State != group.Running || st.Generation != 3 || !strings.Contains(st.Error, "status 503") || st.Hint == "" {
			t.Errorf("%s, generation %d, error %q, hint %q", st.State, st.Generation, st.Error, st.Hint)
		}
	})
}

// As long as nothing is known of the running containers, that is neither good nor bad: a new daemon
// neither reverts a generation nor lets it pass.
func TestRolloutNeedsAnswersOfProbes(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer error // to the new daemon
		want   string
	}{
		{"it is ready", nil, "2 file proved"},
		{"it is not", err503, "3 revert on trial"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withProbe(t, func(t *testing.T, h *harness) {
				h.host.Answer("probed", "web", "ready", err503)
				h.write("probed.hcl", probed2)
				h.wait(55 * time.Second)
				for range 3 {
					h.end()
					h.begin()
					h.wait(8 * time.Second) // the probe's interval is 10 s, and one answer does not fail it
					h.checkHistory("probed", "2 file on trial", "1 apply proved")
				}
				h.host.Answer("probed", "web", "ready", tt.answer)
				h.wait(55 * time.Second)
				if got := h.history("probed")[0]; got != tt.want {
					t.Errorf("history begins with %q, want %q", got, tt.want)
				}
			})
		})
	}
}
