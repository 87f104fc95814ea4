package runner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/journal"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/plan"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/spec"
)

// A stopLog is a runtime that logs its stops, and what is run in containers.
type stopLog struct {
	runner.Runtime
	lines *[]string
	run   func(req host.ExecRequest) (uint32, error)
}

func (s stopLog) Stop(ctx context.Context, group, container string, stop spec.Stop) error {
	*s.lines = append(*s.lines, fmt.Sprintf("stop %s.%s within %s", group, container, stop.Timeout))
	return s.Runtime.Stop(ctx, group, container, stop)
}

func (s stopLog) Exec(_ context.Context, req host.ExecRequest) (uint32, error) {
	*s.lines = append(*s.lines, fmt.Sprintf("run %s in %s.%s within %s, stopping=%t", req.Args, req.Group, req.Container, req.Timeout, req.Stopping))
	return s.run(req)
}

// A pre_stop runs before the signal, and within the grace of its container. What becomes of it
// stops nothing.
func TestPreStop(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		took    time.Duration
		run     func(req host.ExecRequest) (uint32, error)
		within  time.Duration // the command
		left    time.Duration // for the program
		event   string
	}{
		{"ends well", 10 * time.Second, 3 * time.Second, func(req host.ExecRequest) (uint32, error) {
			_, _ = io.WriteString(req.Stdout, "draining\ndrained\x1b\n")
			return 0, nil
		}, 8 * time.Second, 7 * time.Second, "pre_stop /bin/drain -f ended with status 0 after 3s: draining drained\uFFFD"},
		{"fails", 10 * time.Second, 0, func(req host.ExecRequest) (uint32, error) { return 3, nil }, 8 * time.Second, 10 * time.Second, "pre_stop /bin/drain -f ended with status 3 after 0s"},
		{"does not end", 10 * time.Second, 9 * time.Second, func(req host.ExecRequest) (uint32, error) {
			return 0, fmt.Errorf("it: %w", host.ErrTimedOut)
		}, 8 * time.Second, 2 * time.Second, "pre_stop /bin/drain -f did not end within 8s, and was killed"},
		{"can't be run", time.Second, 0, func(req host.ExecRequest) (uint32, error) { return 0, errors.New("no such\nfile") }, time.Second / 2, time.Second, "pre_stop /bin/drain -f could not be run: no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness()
			events, err := journal.Open(journal.Config{Layout: layout.Layout{StateDir: t.TempDir()}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = events.Close() }()
			var lines []string
			spy := stopLog{h.host.Runtime(), &lines, func(req host.ExecRequest) (uint32, error) {
				h.at = h.at.Add(tt.took)
				return tt.run(req)
			}}
			h.config.Runtime, h.config.Exec, h.config.Journal = spy, spy, events
			g := hosttest.Sealed(hosttest.EditContainer("web", func(c *spec.Container) {
				c.Stop = spec.Stop{Timeout: tt.timeout, PreStop: []string{"/bin/drain", "-f"}}
			}))
			if _, err := h.converge(g.Name, g); err != nil {
				t.Fatal(err)
			}
			in := plan.Input{Want: g, Stopped: true, Observed: h.runner.Observe(t.Context()).Observed, Now: h.at}
			for _, s := range plan.Steps(in) {
				if err := h.runner.Execute(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			want := []string{
				fmt.Sprintf("run [/bin/drain -f] in sealed.web within %s, stopping=true", tt.within),
				fmt.Sprintf("stop sealed.web within %s", tt.left),
			}
			if diff := cmp.Diff(want, lines); diff != "" {
				t.Errorf("done (-want +got):\n%s", diff)
			}
			var got []string
			err = events.Events(t.Context(), group.EventQuery{Kinds: []group.EventKind{group.EventPreStop}}, func(e group.Event) error {
				got = append(got, e.Container+": "+e.Text)
				return nil
			})
			if diff := cmp.Diff([]string{"web: " + tt.event}, got); diff != "" || err != nil {
				t.Errorf("events (-want +got):\n%s%v", diff, err)
			}
		})
	}
}
