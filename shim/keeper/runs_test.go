package keeper_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/store"
)

// report is a template with a door, a sidecar and an app.
const report = `group "report" {
  ambassador "proxy" {
    image = "registry.example/proxy:1"
    publish "web" {
      host = 8080
      port = 80
    }
  }
  sidecar "cache" { image = "registry.example/cache:1" }
  app "work" { image = "registry.example/work:1" }
}
`

// plainReport is a template with an app alone.
const plainReport = `group "report" {
  egress = "none"
  app "work" { image = "registry.example/work:1" }
}
`

func runRequest(id, text string) group.RunRequest {
	return group.RunRequest{ID: id, Bundle: bundles("report.hcl", text)[0]}
}

// withRuns is withHarness with the processes of the host, and at most two runs at once.
func withRuns(t *testing.T, do func(t *testing.T, h *harness)) {
	t.Helper()
	withHarness(t, func(t *testing.T, h *harness) {
		h.end()
		h.config = func(c *keeper.Config) {
			c.Denied = func(string) uint64 { return 7 }
			c.Processes, c.RunLimits = h.host.Processes(), keeper.RunLimits{AtOnce: 2, Queued: 2, Keep: time.Hour, Records: 3}
		}
		h.begin()
		h.host.Holds("report-0", "report-1", "report-2", "report-3", "report-4")
		do(t, h)
	})
}

// beginRun begins a run with a caller, and waits until it has nothing to do.
func (h *harness) beginRun(req group.RunRequest) *keeper.RunCaller {
	h.t.Helper()
	if _, err := h.keeper.BeginRun(context.Background(), req, "uid 0"); err != nil {
		h.t.Fatalf("begin run %s: %v", req.ID, err)
	}
	c, err := h.keeper.JoinRun(context.Background(), req.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	h.wait(0)
	return c
}

func (h *harness) runOf(id string) group.Run {
	h.t.Helper()
	r, err := h.keeper.RunOf(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// isRun compares what is known of a run with what is wanted, without its times and texts that all
// runs have.
func (h *harness) isRun(want group.Run) {
	h.t.Helper()
	want.Group, want.File, want.App, want.By = "report", "report.hcl", "work", "uid 0"
	got := h.runOf(want.ID)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(group.Run{}, "Queued", "Started", "Ended", "Hint")); diff != "" {
		h.t.Errorf("the run (-want +got):\n%s", diff)
	}
	if got.State.Over() == got.Ended.IsZero() {
		h.t.Errorf("it is %s, and ended at %s", got.State, got.Ended)
	}
}

// nothingLeft checks that no run has left anything on the host or in the run folder.
func (h *harness) nothingLeft() {
	h.t.Helper()
	if got := h.host.String(); got != "" || h.host.Inputs() > 0 {
		h.t.Errorf("left on the host, with %d inputs:\n%s", h.host.Inputs(), got)
	}
	files, _ := filepath.Glob(filepath.Join(h.layout.RunsDir(), "*"))
	if len(files) > 0 {
		h.t.Errorf("left in the run folder: %q", files)
	}
}

// didSorted compares the operations on the host since the last call with the wanted ones, sorted.
func (h *harness) didSorted(want ...string) {
	h.t.Helper()
	got := slices.DeleteFunc(h.host.Operations(), func(op string) bool { return strings.HasPrefix(op, "image ") })
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		h.t.Errorf("operations (-want +got):\n%s", diff)
	}
	h.host.ForgetOperations()
}

func statusOf(n uint32) *uint32 { return &n }

func TestRunRunsOnceAndIsRemoved(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", report))
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		if all, err := h.keeper.Status(""); err != nil || len(all) > 0 {
			t.Errorf("ps has %v, error %v", all, err)
		}
		if st := h.status("report-1"); st.State != group.Running || len(st.Containers) != 3 {
			t.Errorf("its group is %+v", st)
		}
		h.didSorted("admit", "connect", "create cache", "create proxy", "create work", "seal", "start cache", "start proxy", "start work")
		h.exit("report-1", "work", 3)
		h.wait(0)
		h.didSorted("disconnect", "remove cache", "remove proxy", "remove work", "stop cache", "stop proxy")
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(3), Denied: 7})
		h.nothingLeft()
		if r := h.runOf("report-1"); r.ExitCode() != 3 || r.Started.IsZero() {
			t.Errorf("it is %+v", r)
		}
		_, err := h.keeper.Status("report-1")
		if !errors.Is(err, group.ErrNoGroup) || !strings.Contains(hint.Of(err), `"sallyport run ls"`) {
			t.Errorf("its group, when it is over: %v, hint %q", err, hint.Of(err))
		}
		if status, err := h.keeper.Wait(context.Background(), "report-1"); status != 3 || err != nil {
			t.Errorf("wait: status %d, %v", status, err)
		}
	})
}

// A request that is sent again joins its run, and an app that ends at once has a result.
func TestRunIsRunOnceForOneID(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("report-1", "work", 0)
		h.beginRun(runRequest("report-1", plainReport))
		h.did("seal", "admit", "create work", "start work", "remove work", "disconnect")
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(0), Denied: 7})
		for range 2 {
			h.beginRun(runRequest("report-1", plainReport))
			h.did()
			h.end()
			h.begin()
		}
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(0), Denied: 7})
	})
}

func TestRunPolicyOfTheApp(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		text := edited(plainReport, `{ image = "registry.example/work:1" }`, "{\n image = \"registry.example/work:1\"\n restart { policy = \"on-failure\" }\n }")
		h.beginRun(runRequest("report-1", text))
		h.exit("report-1", "work", 1)
		h.wait(2 * time.Second)
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		h.exit("report-1", "work", 0)
		h.wait(0)
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(0), Denied: 7})
		h.nothingLeft()
	})
}

func TestRunThatIsEnded(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(h *harness, c *keeper.RunCaller)
		want group.Run
		code int
	}{
		{"its caller went away", func(h *harness, c *keeper.RunCaller) { c.Leave(); h.wait(10 * time.Second) }, group.Run{Error: "its caller went away"}, 125},
		{"stopped", func(h *harness, _ *keeper.RunCaller) { _ = h.keeper.Stop(context.Background(), "report-1", nil) }, group.Run{Error: "it was stopped"}, 125},
		{"timed out", func(h *harness, _ *keeper.RunCaller) { h.wait(time.Minute) }, group.Run{Error: "timed out after 1m0s", TimedOut: true}, 124},
		{"a signal of the caller", func(h *harness, c *keeper.RunCaller) {
			if err := c.Signal(context.Background(), syscall.SIGTERM); err != nil {
				h.t.Error(err)
			}
			h.wait(0)
		}, group.Run{ExitStatus: statusOf(143)}, 143},
		{"a sidecar that stops the group", func(h *harness, _ *keeper.RunCaller) { h.exit("report-1", "cache", 9); h.wait(0) },
			group.Run{Error: "cache (sidecar) ended with status 9, and its on_failure stops the group"}, 125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withRuns(t, func(t *testing.T, h *harness) {
				req := runRequest("report-1", edited(report, `{ image = "registry.example/cache:1" }`, "{\n image = \"registry.example/cache:1\"\n on_failure = \"stop-group\"\n }"))
				req.Timeout = time.Minute
				c := h.beginRun(req)
				h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
				tt.end(h, c)
				tt.want.ID, tt.want.State, tt.want.Denied = "report-1", group.RunEnded, 7
				h.isRun(tt.want)
				if r := h.runOf("report-1"); r.ExitCode() != tt.code {
					t.Errorf("exit code %d", r.ExitCode())
				}
				h.nothingLeft()
			})
		})
	}
}

// A caller that comes back in time keeps its run, and a detached one needs none.
func TestRunWithoutCaller(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		c := h.beginRun(runRequest("report-1", plainReport))
		c.Leave()
		h.wait(9 * time.Second)
		again := h.beginRun(runRequest("report-1", plainReport))
		h.wait(time.Minute)
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		again.Leave()
		again.Leave() // counts once
		h.wait(9 * time.Second)
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})

		detached := runRequest("report-2", plainReport)
		detached.Detach = true
		if r, err := h.keeper.BeginRun(context.Background(), detached, "uid 0"); err != nil || r.State != group.RunStarting {
			t.Errorf("the answer is %+v, %v", r, err)
		}
		h.wait(time.Hour)
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, Error: "its caller went away", Denied: 7})
		h.isRun(group.Run{ID: "report-2", State: group.RunRunning, Detached: true})
	})
}

func TestRunThatCantBeBuilt(t *testing.T) {
	for _, tt := range []struct {
		name  string
		begin func(h *harness)
		text  string
		err   string
		code  int
	}{
		{"an image that is missing", func(h *harness) { h.host.LoseImage("registry.example/work:1") }, plainReport, "work (app): image registry.example/work:1: not found", 125},
		{"a step that fails", func(h *harness) { h.host.FailNext("create work", errBoom) }, plainReport, "create work (app): create work: boom", 125},
		{"no such program", func(h *harness) { h.host.FailNext("create work", host.ErrNoProgram) }, plainReport, "create work (app): create work: no such program", 127},
		{"a start that fails", func(h *harness) { h.host.FailNext("start work", host.ErrCannotRun) }, plainReport, "start work (app): start work: the program can't be run", 126},
		{"a port of a group", func(h *harness) { h.mustApply("web.hcl", edited(report, `"report"`, `"web"`)) }, report,
			`port 8080/tcp of the host, which publish "web" asks for, belongs to group web`, 125},
		{"a port of a run", func(h *harness) { h.beginRun(runRequest("report-0", report)) }, report,
			`port 8080/tcp of the host, which publish "web" asks for, belongs to run report-0`, 125},
		{"an init that fails", func(h *harness) { h.host.ExitAtOnce("report-1", "first", 5) },
			edited(plainReport, "  app", "  init \"first\" {\n image = \"registry.example/first:1\"\n restart { policy = \"never\" }\n }\n  app"), "first (init) ended with status 5", 125},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withRuns(t, func(t *testing.T, h *harness) {
				tt.begin(h)
				before := h.host.String()
				h.beginRun(runRequest("report-1", tt.text))
				r := h.runOf("report-1")
				if r.State != group.RunNotRun || r.Error != tt.err || r.ExitCode() != tt.code || !r.Started.IsZero() {
					t.Errorf("it is %+v, exit code %d", r, r.ExitCode())
				}
				if diff := cmp.Diff(before, h.host.String()); diff != "" {
					t.Errorf("the host (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// An init that fails is tried a few times by its policy, and not for ever.
func TestRunGivesUpAnInit(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.host.ExitAtOnce("report-1", "first", 5)
		h.beginRun(runRequest("report-1", edited(plainReport, "  app", "  init \"first\" { image = \"registry.example/first:1\" }\n  app")))
		h.isRun(group.Run{ID: "report-1", State: group.RunStarting})
		h.wait(time.Minute)
		h.isRun(group.Run{ID: "report-1", State: group.RunNotRun, Error: "first (init) ended with status 5", Denied: 7})
		h.nothingLeft()
	})
}

func TestRunIsRefused(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		for _, tt := range []struct{ name, text, want string }{
			{"a persistent volume", edited(plainReport, "  app", "  volume \"v\" {\n persistent = true\n }\n  app"), "/home/op/report.hcl:3:3: Not in a run: The volume \"v\" is persistent"},
			{"a file with a mistake", "group {}", "group"},
		} {
			_, err := h.keeper.BeginRun(context.Background(), runRequest("report-1", tt.text), "uid 0")
			if !errors.Is(err, group.ErrFile) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		h.mustApply("shop.hcl", shop)
		if _, err := h.keeper.BeginRun(context.Background(), runRequest("shop", plainReport), "uid 0"); err == nil || !strings.Contains(err.Error(), "there is a group shop") {
			t.Errorf("the name of a group: %v", err)
		}
		if len(h.keeper.Runs()) > 0 {
			t.Errorf("known are %v", h.keeper.Runs())
		}
	})
}

func TestRunsWaitTheirTurn(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		ids := []string{"report-1", "report-2", "report-3", "report-4"}
		callers := map[string]*keeper.RunCaller{}
		for _, id := range ids {
			callers[id] = h.beginRun(runRequest(id, plainReport))
		}
		_, err := h.keeper.BeginRun(context.Background(), runRequest("report-5", plainReport), "uid 0")
		if !errors.Is(err, group.ErrQueueFull) || !strings.Contains(err.Error(), "2 go on and 2 wait") {
			t.Errorf("a fifth run: %v", err)
		}
		h.isRun(group.Run{ID: "report-3", State: group.RunQueued, Place: 1})
		h.isRun(group.Run{ID: "report-4", State: group.RunQueued, Place: 2})
		if st := h.status("report-4"); st.State != group.Pending || !strings.Contains(st.Waiting, "place 2") {
			t.Errorf("the status of a queued run is %+v", st)
		}
		_, _, changed := callers["report-4"].Watch()
		h.exit("report-1", "work", 0)
		h.wait(0)
		select {
		case <-changed:
		default:
			t.Error("a queued run was not told its new place")
		}
		h.isRun(group.Run{ID: "report-3", State: group.RunRunning})
		h.isRun(group.Run{ID: "report-4", State: group.RunQueued, Place: 1})
		if n := h.keeper.RunCounts(); n != (group.RunCounts{Active: 2, Queued: 1, Succeeded: 1, Refused: 1}) {
			t.Errorf("counts: %+v", n)
		}
		if err := callers["report-4"].Signal(context.Background(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
		h.wait(0)
		h.isRun(group.Run{ID: "report-4", State: group.RunNotRun, Error: "its caller ended it (interrupt) before its app ran"})
	})
}

func TestRunOutlivesTheDaemon(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		req := runRequest("report-1", report)
		req.Timeout = time.Minute
		h.beginRun(req)
		detached := runRequest("report-2", plainReport)
		detached.Detach = true
		h.beginRun(detached)
		h.beginRun(runRequest("report-3", plainReport)) // queued
		waiting := runRequest("report-4", plainReport)
		waiting.Detach = true
		h.beginRun(waiting) // queued as well
		h.wait(20 * time.Second)
		before := h.host.String()
		h.host.ForgetOperations()
		h.end()
		h.begin()
		h.did()
		if diff := cmp.Diff(before, h.host.String()); diff != "" {
			t.Errorf("the host (-before +after):\n%s", diff)
		}
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		h.isRun(group.Run{ID: "report-2", State: group.RunRunning, Detached: true})
		h.isRun(group.Run{ID: "report-4", State: group.RunQueued, Detached: true, Place: 1})
		if _, err := h.keeper.RunOf(context.Background(), "report-3"); !errors.Is(err, group.ErrNoRun) {
			t.Errorf("a queued run whose caller asks again: %v", err)
		}
		h.beginRun(req) // its caller is back, and its time goes on
		h.wait(39 * time.Second)
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		h.wait(time.Second)
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, Error: "timed out after 1m0s", TimedOut: true, Denied: 7})
		h.isRun(group.Run{ID: "report-4", State: group.RunRunning, Detached: true})
	})
}

// A run that ends while there is no daemon has its result all the same, and a run whose caller did
// not come back is ended.
func TestRunEndsWithoutADaemon(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", report))
		h.beginRun(runRequest("report-2", plainReport))
		h.end()
		h.host.Exit("report-1", "work", 4)
		h.begin()
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(4), Denied: 7})
		h.wait(10 * time.Second)
		h.isRun(group.Run{ID: "report-2", State: group.RunEnded, Error: "its caller went away", Denied: 7})
		h.nothingLeft()
	})
}

// A daemon that is killed when it has started the app, and before it has written that down, leaves
// a run that counts as run.
func TestRunWhoseStartIsNotWrittenDown(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", report))
		h.end()
		path := filepath.Join(h.layout.RunsDir(), "report-1.json")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var rec store.RunRecord
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Fatal(err)
		}
		rec.Restarts, rec.Run.State, rec.Run.Started = nil, group.RunStarting, time.Time{}
		if text, err = json.Marshal(rec); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		h.host.Exit("report-1", "work", 4)
		h.begin()
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(4), Denied: 7})
		h.nothingLeft()
	})
}

// An app whose end was not seen is not run again.
func TestRunIsNeverRunTwice(t *testing.T) {
	for _, tt := range []struct {
		name string
		lose func(h *harness)
		err  string
	}{
		{"its shim was killed", func(h *harness) { h.host.LoseTask("report-1", "work") }, "work (app) is gone and left no exit status: its shim has ended, or was killed"},
		{"its namespace is gone", func(h *harness) { h.host.Unpin("report-1") }, "work (app) can't go on: others have removed the network namespace of the run"},
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				withRuns(t, func(t *testing.T, h *harness) {
					h.beginRun(runRequest("report-1", plainReport))
					h.host.ForgetOperations()
					if restarted {
						h.end()
					}
					tt.lose(h)
					if restarted {
						h.begin()
					}
					h.wait(time.Minute)
					r := h.runOf("report-1")
					if r.State != group.RunLost || r.Error != tt.err || r.ExitCode() != 125 {
						t.Errorf("it is %+v", r)
					}
					for _, op := range h.host.Operations() {
						if op == "start work" || op == "create work" {
							t.Errorf("operation %q", op)
						}
					}
					h.nothingLeft()
				})
			})
		}
	}
}

func TestRunIsLostByABoot(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", report))
		detached := runRequest("report-2", plainReport)
		detached.Detach = true
		h.beginRun(detached)
		waiting := detached
		waiting.ID = "report-3"
		h.beginRun(waiting)
		h.end()
		h.host.Reboot()
		if err := os.RemoveAll(h.layout.RunDir); err != nil {
			t.Fatal(err)
		}
		h.begin()
		h.wait(time.Minute)
		const why = "the host was rebooted, or lost its run folder"
		h.isRun(group.Run{ID: "report-1", State: group.RunLost, Error: why})
		h.isRun(group.Run{ID: "report-2", State: group.RunLost, Error: why, Detached: true})
		h.isRun(group.Run{ID: "report-3", State: group.RunNotRun, Error: why, Detached: true})
		h.nothingLeft()
	})
}

// What others do with the group files leaves a run alone.
func TestRunIsNoMatterOfTheGroupFiles(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", report))
		h.host.ForgetOperations()
		h.write("shop.hcl", shop)
		h.wait(proof)
		h.remove("shop.hcl")
		h.wait(time.Minute)
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
		for _, op := range h.host.Operations() {
			if strings.HasSuffix(op, " work") {
				t.Errorf("operation %q", op)
			}
		}
		_, err := h.apply("web.hcl", edited(report, `"report"`, `"web"`))
		if err == nil || !strings.Contains(err.Error(), "port 8080/tcp of the host is taken by run report-1") {
			t.Errorf("an apply of a group with its port: %v", err)
		}
		_, err = h.apply("name.hcl", edited(plainReport, `"report"`, `"report-1"`))
		if err == nil || !strings.Contains(err.Error(), "there is a run report-1") {
			t.Errorf("an apply of a group with its name: %v", err)
		}
	})
}

func TestRunThatIsKept(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		req := runRequest("report-1", report)
		req.Keep = true
		c := h.beginRun(req)
		h.exit("report-1", "work", 1)
		h.wait(0)
		want := group.Run{ID: "report-1", State: group.RunEnded, ExitStatus: statusOf(1), Kept: true}
		h.isRun(want)
		c.Leave()
		h.wait(time.Hour)
		h.end()
		h.begin()
		h.wait(time.Minute)
		h.isRun(want)
		if h.host.Running("report-1") != 2 {
			t.Errorf("kept is:\n%s", h.host)
		}
		h.beginRun(runRequest("report-2", plainReport))
		h.beginRun(runRequest("report-3", plainReport))
		h.isRun(group.Run{ID: "report-3", State: group.RunRunning}) // it takes no turn
		if err := h.keeper.Remove(context.Background(), "report-1", nil); err != nil {
			t.Error(err)
		}
		if _, err := h.keeper.RunOf(context.Background(), "report-1"); !errors.Is(err, group.ErrNoRun) {
			t.Errorf("after its removal: %v", err)
		}
		if h.host.Running("report-1") > 0 {
			t.Errorf("still there:\n%s", h.host)
		}
	})
}

func TestRunRefusesVerbsOfGroups(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", plainReport))
		ctx := context.Background()
		_, errDefinition := h.keeper.Definition(ctx, "report-1", 1)
		_, errHistory := h.keeper.History(ctx, "report-1")
		for verb, err := range map[string]error{
			"start": h.keeper.Start(ctx, "report-1", nil), "restart": h.keeper.Restart(ctx, "report-1", "", nil),
			"rollback": h.keeper.Rollback(ctx, "report-1", 0, nil), "history": errHistory, "definition": errDefinition,
		} {
			if err == nil || !strings.Contains(err.Error(), "report-1 is a run") {
				t.Errorf("%s: %v", verb, err)
			}
		}
		h.isRun(group.Run{ID: "report-1", State: group.RunRunning})
	})
}

func TestRunInput(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		req := runRequest("report-1", plainReport)
		req.Stdin = true
		c := h.beginRun(req)
		in, err := c.OpenInput(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = in.Write([]byte("one "))
		_ = in.Close()
		h.end()
		h.begin()
		c = h.beginRun(req)
		if in, err = c.OpenInput(context.Background()); err != nil || in.Taken() != 4 {
			t.Fatalf("after a restart of the daemon: %v", err)
		}
		_, _ = in.Write([]byte("two"))
		_ = in.End()
		_ = in.Close()
		if taken, ended := h.host.Input("report-1", "work"); taken != "one two" || !ended {
			t.Errorf("the app has read %q, the end: %v", taken, ended)
		}
		h.exit("report-1", "work", 0)
		h.wait(0)
		if in, err := c.OpenInput(context.Background()); in != nil || err != nil {
			t.Errorf("the input of a run that is over: %v, %v", in, err)
		}
		h.nothingLeft()
	})
}

// An app must not take a part of its input for all of it.
func TestRunInputThatIsUnknown(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		req := runRequest("report-1", plainReport)
		req.Stdin = true
		c := h.beginRun(req)
		h.host.LoseInput("report-1", "work")
		if _, err := c.OpenInput(context.Background()); !errors.Is(err, host.ErrInputUnknown) {
			t.Errorf("open: %v", err)
		}
		h.wait(0)
		h.isRun(group.Run{ID: "report-1", State: group.RunEnded, Denied: 7, Error: "standard input: it is not known how much of the standard input was taken"})
	})
}

func TestRunsAreForgotten(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.host.BreakImage("registry.example/work:1", 0)
		for _, id := range []string{"report-1", "report-2", "report-3", "report-4"} {
			h.beginRun(runRequest(id, plainReport))
			h.wait(time.Second)
		}
		known := func() (ids []string) {
			for _, r := range h.keeper.Runs() {
				ids = append(ids, r.ID)
			}
			return ids
		}
		h.wait(10 * time.Minute)
		if diff := cmp.Diff([]string{"report-2", "report-3", "report-4"}, known()); diff != "" {
			t.Errorf("the latest runs (-want +got):\n%s", diff)
		}
		h.end()
		h.begin()
		if len(known()) != 3 {
			t.Errorf("after a restart of the daemon: %q", known())
		}
		h.wait(2 * time.Hour)
		if len(known()) > 0 {
			t.Errorf("after their time: %q", known())
		}
		files, _ := filepath.Glob(filepath.Join(h.layout.FinishedDir(), "*"))
		if len(files) > 0 {
			t.Errorf("left are %q", files)
		}
	})
}

// The images of a run are in use, also while it waits for its turn.
func TestRunKeepsItsImages(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.end()
		const one, two, other = "registry.example/work:1", "registry.example/work:2", "registry.example/work:3"
		s := newShelf(h.host, one, two, other)
		h.config = func(c *keeper.Config) { c.ImageStore = s }
		h.begin()
		h.keeper.SetRunLimits(keeper.RunLimits{AtOnce: 1, Queued: 1, Keep: time.Hour, Records: 3})
		h.beginRun(runRequest("report-1", plainReport))
		h.beginRun(runRequest("report-2", edited(plainReport, "work:1", "work:2")))
		prune := func() {
			if err := h.keeper.PruneImages(context.Background(), keeper.PruneRequest{ByHand: true}, func(host.ImageRemoval) {}); err != nil {
				t.Error(err)
			}
		}
		prune()
		s.has(t, "while one runs and one waits", one, two)
		h.exit("report-1", "work", 0)
		h.wait(0)
		prune()
		s.has(t, "when the first is over", two)
	})
}

// A removal that takes long does not hold the result.
func TestRunToldBeforeItsRemoval(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		h.beginRun(runRequest("report-1", plainReport))
		for range 100 {
			h.host.FailNext("disconnect", errBoom)
		}
		h.exit("report-1", "work", 2)
		h.wait(time.Minute)
		r := h.runOf("report-1")
		if r.State != group.RunEnded || *r.ExitStatus != 2 {
			t.Errorf("it is %+v", r)
		}
		if n := h.keeper.RunCounts().Active; n != 0 {
			t.Errorf("%d runs have a turn", n)
		}
		h.host.ForgetFaults()
		h.wait(time.Hour)
		h.nothingLeft()
	})
}

func TestRunChangesItsTemplate(t *testing.T) {
	withRuns(t, func(t *testing.T, h *harness) {
		req := runRequest("report-1", plainReport)
		req.Args, req.Env = []string{"a"}, map[string]string{"K": "v"}
		req.Files = map[string][]byte{"/in": []byte("x")}
		h.beginRun(req)
		if c := h.host.Definition("report-1").Container("work"); c == nil || c.Args[0] != "a" || c.Env["K"] != "v" || string(c.Files[0].Content) != "x" || !c.Output.Split {
			t.Errorf("created was %+v", c)
		}
	})
}
