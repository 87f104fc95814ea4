package keeper_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/keeper"
)

// till is a group that uses every kind of order.
const till = `
group "till" {
  ambassador "proxy" {
    image = "registry.example/haproxy:2"
    probe "ready" { tcp = { port = 9001 } }
  }
  init "fetch"   { image = "registry.example/fetch:1" }
  init "migrate" { image = "registry.example/migrate:1" }
  sidecar "shipper" {
    image = "registry.example/shipper:3"
    after = ["store"]
  }
  sidecar "store" {
    image = "registry.example/store:3"
    probe "ready" { tcp = { port = 9002 } }
  }
  app "web" {
    image = "registry.example/web:1"
    probe "live" {
      http     = { port = 8080 }
      failures = 2
    }
  }
}
`

// withTill runs a test whose keeper has a prober.
func withTill(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) { c.Prober = h.host.Prober() }
		h.begin()
		do(t, h)
	})
}

// mustStartTill brings the till up. Its inits end well at once.
func (h *harness) mustStartTill() {
	h.t.Helper()
	h.host.ExitAtOnce("till", "fetch", 0)
	h.host.ExitAtOnce("till", "migrate", 0)
	h.mustApply("till.hcl", till)
}

var errRefusing = errors.New("tcp 127.0.0.1:9001: connection refused")

func TestApplyWaitsUntilEachInItsTurnIsReady(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.host.Answer("till", "proxy", "ready", errRefusing)
		h.host.Answer("till", "store", "ready", errRefusing)
		var lines []string
		var err error
		done := false
		go func() {
			err = h.keeper.Apply(context.Background(), bundles("till.hcl", till), func(l string) { lines = append(lines, l) })
			done = true
		}()
		expectLines := func(want ...string) {
			t.Helper()
			h.wait(25 * time.Second)
			// A probe may have answered before the first reconciliation. Several containers are
			// created at once, in any order.
			lines = slices.DeleteFunc(lines, func(l string) bool {
				return strings.Contains(l, ": create ") || strings.HasSuffix(l, "has not answered yet")
			})
			if diff := cmp.Diff(want, lines); diff != "" || done {
				t.Fatalf("done: %v, error %v, progress (-want +got):\n%s", done, err, diff)
			}
			lines = nil
		}
		expectLines("till: pin namespace till, deny everything in it",
			"till: admit proxy (ambassador) to the world: cgroup /sallyport/till/ambassador",
			"till: connect till",
			"till: start proxy (ambassador), wait until it is ready",
			"till: waits for proxy (ambassador) to be ready: its ready probe failed: tcp 127.0.0.1:9001: connection refused",
			"till: waits for proxy (ambassador) to be ready: its ready probe failed 3 times in a row: tcp 127.0.0.1:9001: connection refused")
		st := h.status("till")
		if st.State != group.Starting || !strings.HasPrefix(st.Waiting, "waits for proxy (ambassador) to be ready: its ready probe failed 3 times") || !strings.HasPrefix(st.Hint, `see "sallyport logs till.proxy"`) {
			t.Errorf("%s, waiting %q, error %q, hint %q", st.State, st.Waiting, st.Error, st.Hint)
		}
		if c := st.Containers[5]; c.Ready || c.Waiting != st.Waiting {
			t.Errorf("the app: %+v", c)
		}
		if c := st.Containers[0]; c.Ready || !strings.HasPrefix(c.Waiting, "is not ready: its ready probe failed 3 times in a row") {
			t.Errorf("the ambassador: %+v", c)
		}
		h.host.Answer("till", "proxy", "ready", nil)
		expectLines("till: start fetch (init), wait until it has ended well", "till: waits for fetch (init) to end well")
		h.exit("till", "fetch", 0)
		expectLines("till: start migrate (init), wait until it has ended well", "till: waits for migrate (init) to end well")
		h.exit("till", "migrate", 0)
		expectLines("till: start store (sidecar), wait until it is ready",
			"till: waits for store (sidecar) to be ready: its ready probe failed: tcp 127.0.0.1:9001: connection refused",
			"till: waits for store (sidecar) to be ready: its ready probe failed 3 times in a row: tcp 127.0.0.1:9001: connection refused")
		h.host.Answer("till", "store", "ready", nil)
		h.wait(10 * time.Second)
		if diff := cmp.Diff([]string{"till: start shipper (sidecar)", "till: start web (app)", "till: running"}, lines); diff != "" || !done || err != nil {
			t.Errorf("done: %v, error %v, progress (-want +got):\n%s", done, err, diff)
		}
		if st := h.status("till"); st.State != group.Running || st.Waiting != "" || st.Error != "" || !st.Containers[1].Ready {
			t.Errorf("%s, waiting %q, error %q, %+v", st.State, st.Waiting, st.Error, st.Containers[1])
		}
	})
}

func TestAnInitThatFailsBlocksTheRest(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("till", "fetch", 7)
		if _, err := h.apply("till.hcl", till); err == nil || !strings.Contains(err.Error(), "fetch (init) ended with status 7") {
			t.Errorf("error %v", err)
		}
		h.host.ForgetOperations()
		h.wait(time.Second)
		h.did("remove fetch", "create fetch", "start fetch")
		if st := h.status("till"); st.State != group.Degraded || st.Containers[1].EndsInARow != 2 {
			t.Errorf("%s, %+v", st.State, st.Containers[1])
		}
		h.host.ExitAtOnce("till", "fetch", 0)
		h.host.ExitAtOnce("till", "migrate", 0)
		h.wait(2 * time.Second)
		h.did("remove fetch", "create fetch", "start fetch", "start migrate", "start store", "start shipper", "start web")
		h.wait(time.Hour)
		h.did()
	})
}

func TestTheOrderHoldsAfterABoot(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.mustStartTill()
		h.end()
		h.host.Reboot()
		h.host.Answer("till", "proxy", "ready", errRefusing)
		h.begin()
		h.wait(time.Minute)
		if n := h.host.Running("till"); n != 1 {
			t.Errorf("%d containers run although the ambassador is not ready:\n%s", n, h.host)
		}
		h.host.Answer("till", "proxy", "ready", nil)
		h.wait(time.Minute)
		if st := h.status("till"); st.State != group.Running {
			t.Errorf("%s, waiting %q:\n%s", st.State, st.Waiting, h.host)
		}
	})
}

func TestAdoptionWithProbes(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.mustStartTill()
		h.end()
		for _, probe := range []string{"proxy ready", "web live"} {
			name, kind, _ := strings.Cut(probe, " ")
			h.host.Answer("till", name, kind, errRefusing)
		}
		h.begin()
		if st := h.status("till"); st.State != group.Running || st.Error != "" {
			t.Errorf("at first: %s, error %q", st.State, st.Error)
		}
		h.did()
		h.wait(time.Minute)
		h.stopped("web") // and it is not started again next to an ambassador that is not ready
		if st := h.status("till"); st.State != group.Degraded {
			t.Errorf("%s, error %q", st.State, st.Error)
		}
	})
}

func TestALiveProbeThatFailsRestarts(t *testing.T) {
	for _, tt := range []struct {
		policy string
		again  bool
		state  group.State
	}{{"always", true, group.Running}, {"on-failure", true, group.Running}, {"never", false, group.Completed}} {
		t.Run(tt.policy, func(t *testing.T) {
			withTill(t, func(t *testing.T, h *harness) {
				h.host.ExitAtOnce("till", "fetch", 0)
				h.host.ExitAtOnce("till", "migrate", 0)
				h.host.StopWith("till", "web", 0) // a clean end
				h.mustApply("till.hcl", edited(till, `web:1"`, `web:1"`+"\n    restart { policy = \""+tt.policy+"\" }"))
				h.host.Answer("till", "web", "live", errRefusing)
				h.wait(10*time.Second - proof + time.Millisecond) // the first failure
				h.did()
				h.wait(10 * time.Second)
				if tt.again {
					h.did("stop web")
					st := h.status("till")
					want := "web (app) ended with status 0, stopped because its live probe failed 2 times in a row: tcp 127.0.0.1:9001: connection refused"
					if st.State != group.Degraded || st.Error != want {
						t.Errorf("%s, error %q", st.State, st.Error)
					}
					h.host.Answer("till", "web", "live", nil)
					h.wait(time.Second)
					h.did("remove web", "create web", "start web")
				}
				st := h.status("till")
				if st.State != tt.state || (st.Error == "") != tt.again {
					t.Errorf("%s, error %q", st.State, st.Error)
				}
			})
		})
	}
}

func TestNothingStartsNextToAnAmbassadorThatIsNotReady(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.mustStartTill()
		h.host.Answer("till", "proxy", "ready", errRefusing)
		h.wait(time.Minute)
		h.did()
		if st := h.status("till"); st.State != group.Degraded || st.Waiting == "" || st.Hint == "" {
			t.Errorf("%s, waiting %q, hint %q", st.State, st.Waiting, st.Hint)
		}
		h.exit("till", "web", 1)
		h.wait(time.Minute)
		h.did()
		h.host.Answer("till", "proxy", "ready", nil)
		h.wait(time.Minute)
		h.did("remove web", "create web", "start web")
	})
}

func TestStoppedWhileItWaits(t *testing.T) {
	withTill(t, func(t *testing.T, h *harness) {
		h.host.Answer("till", "proxy", "ready", errRefusing)
		var err error
		go func() { err = h.keeper.Apply(context.Background(), bundles("till.hcl", till), nil) }()
		h.wait(time.Minute)
		if err := h.keeper.Stop(context.Background(), "till", nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if h.host.String() != "" || h.status("till").State != group.Stopped || err != nil {
			t.Errorf("%s, apply's error %v:\n%s", h.status("till").State, err, h.host)
		}
	})
}

func TestLastOutput(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		read, began := 0, time.Now()
		h.end()
		h.config = func(c *keeper.Config) {
			c.LastOutput = func(group, container string, since time.Time) []string {
				if read++; since.Before(began) || since.After(time.Now()) {
					t.Errorf("the output since %v is asked for, and the test began at %v", since, began)
				}
				return []string{group + "." + container + ": panic"}
			}
		}
		h.begin()
		h.mustApply("shop.hcl", shop)
		h.wait(time.Second)
		h.exit("shop", "web", 137)
		st := h.status("shop").Containers[2]
		if diff := cmp.Diff([]string{"shop.web: panic"}, st.LastOutput); diff != "" || st.Signal != "SIGKILL" || st.EndsInARow != 1 {
			t.Errorf("%+v, last output (-want +got):\n%s", st, diff)
		}
		h.wait(time.Second)
		if st := h.status("shop").Containers[2]; len(st.LastOutput) != 1 || st.EndsInARow != 1 || read != 1 {
			t.Errorf("read %d times; running again: %+v", read, st)
		}
		h.wait(11 * time.Minute)
		if st := h.status("shop").Containers[2]; len(st.LastOutput) != 0 || st.EndsInARow != 0 || *st.ExitStatus != 137 {
			t.Errorf("stable: %+v", st)
		}
	})
}
