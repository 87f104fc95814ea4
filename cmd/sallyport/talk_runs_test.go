package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// fakeRuns are runs whose app ends at once, as the first argument of the app says. Their ID is not
// the one that was asked for, so that what is printed can be compared.
type fakeRuns struct {
	daemon *fakeDaemon

	mu   sync.Mutex
	args []string // of the last run
}

const fakeRunID = "job-abcdefgh"

// sampleRuns are those that are known.
func sampleRuns() []group.Run {
	at := time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC)
	status := func(n uint32) *uint32 { return &n }
	return []group.Run{
		{ID: "report-k3v9x1qa", Group: "report", File: "report.hcl", App: "app", State: group.RunEnded, ExitStatus: status(3), By: "uid 1000", Queued: at, Started: at.Add(time.Second), Ended: at.Add(3500 * time.Millisecond), Denied: 12},
		{ID: "report-00000001", Group: "report", File: "report.hcl", App: "app", State: group.RunLost, Error: "the host was rebooted, or lost its run folder", By: "uid 0", Queued: at, Started: at, Ended: at},
		{ID: "nightly-00000002", Group: "nightly", File: "nightly.hcl", App: "app", State: group.RunRunning, By: "uid 0", Detached: true, Kept: true, Queued: at, Started: at},
		{ID: "nightly-00000003", Group: "nightly", File: "nightly.hcl", App: "app", State: group.RunQueued, Place: 1, By: "uid 0", Queued: at},
	}
}

func (f *fakeRuns) Runs() []group.Run { return sampleRuns() }

func (f *fakeRuns) RunOf(_ context.Context, id string) (group.Run, error) {
	return group.Run{}, fmt.Errorf("run %q: %w", id, group.ErrNoRun)
}

func (f *fakeRuns) BeginRun(_ context.Context, req group.RunRequest, by string) (group.Run, error) {
	if req.Bundle.Name == "full.hcl" {
		return group.Run{}, fmt.Errorf("%w: 8 go on and 1000 wait", group.ErrQueueFull)
	}
	files := map[string]string{}
	for at, content := range req.Files {
		files[at] = string(content)
	}
	if err := f.daemon.record("run %s group=%q args=%q env=%q files=%q timeout=%s stdin=%t keep=%t by %s",
		bundlesText([]group.Bundle{req.Bundle}), req.Group, req.Args, req.Env, files, req.Timeout, req.Stdin, req.Keep, strings.Fields(by)[0]); err != nil {
		return group.Run{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.args = req.Args
	now := sampleRuns()[3]
	now.ID, now.Group, now.File, now.Detached = fakeRunID, "job", req.Bundle.Name, req.Detach
	return now, nil
}

func (f *fakeRuns) JoinRun(context.Context, string) (api.RunCaller, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := sampleRuns()[0]
	r.ID, r.Group, r.File = fakeRunID, "job", "job.hcl"
	zero := uint32(0)
	r.ExitStatus = &zero
	switch args := append(f.args, "", ""); args[0] {
	case "exit":
		_, _ = fmt.Sscan(args[1], r.ExitStatus)
	case "timeout":
		r.TimedOut, r.ExitStatus, r.Error = true, nil, "timed out after 1s"
	case "none":
		r.State, r.Code, r.ExitStatus, r.Error = group.RunNotRun, group.RunNoProgram, nil, "start app (app): \"none\": no such program"
	case "cannot":
		r.State, r.Code, r.ExitStatus, r.Error = group.RunNotRun, group.RunCannotRun, nil, "start app (app): \"cannot\": it can't be run"
	case "lost":
		r = sampleRuns()[1]
		r.ID, r.Hint = fakeRunID, "run it again"
	}
	return &fakeRunCaller{run: r}, nil
}

func (f *fakeRuns) RunOutput(_ context.Context, _ group.Run, stream string, _ uint64, _ <-chan struct{}, emit func(api.RunOutput) error) error {
	f.mu.Lock()
	silent := stream == "stderr" && !slices.Contains(f.args, "complain") // on a terminal, their order is open
	f.mu.Unlock()
	if silent {
		return nil
	}
	return emit(api.RunOutput{Bytes: []byte("on " + stream + "\n")})
}

// A fakeRunCaller stays with a run that is over.
type fakeRunCaller struct{ run group.Run }

func (c *fakeRunCaller) Watch() (group.Run, []string, <-chan struct{}) { return c.run, nil, nil }
func (c *fakeRunCaller) Started() <-chan struct{}                      { return closedChannel() }
func (c *fakeRunCaller) Over() <-chan struct{}                         { return closedChannel() }
func (c *fakeRunCaller) Signal(context.Context, syscall.Signal) error  { return nil }
func (c *fakeRunCaller) OpenInput(context.Context) (host.Input, error) { return nil, nil }
func (c *fakeRunCaller) Leave()                                        {}

func closedChannel() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// evilRuns are runs that hold what a terminal would act on.
type evilRuns struct{}

func evilRun() group.Run {
	r := sampleRuns()[1]
	r.ID, r.File, r.Error, r.Hint, r.By = evil, evil, evil, evil, evil
	return r
}

func (evilRuns) Runs() []group.Run { return []group.Run{evilRun()} }

func (evilRuns) RunOf(context.Context, string) (group.Run, error) { return evilRun(), nil }

func (evilRuns) BeginRun(context.Context, group.RunRequest, string) (group.Run, error) {
	return evilRun(), nil
}

func (evilRuns) JoinRun(context.Context, string) (api.RunCaller, error) {
	return &fakeRunCaller{run: evilRun()}, nil
}

func (evilRuns) RunOutput(_ context.Context, _ group.Run, _ string, _ uint64, _ <-chan struct{}, emit func(api.RunOutput) error) error {
	return emit(api.RunOutput{Bytes: []byte(evil)})
}
