package life

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// job is a template. %[2]s is the script of its app, and %[3]s is more of the group.
const job = `
group "job" {
  egress = "none"
  app "work" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "%[2]s"]
  }
  %[3]s
}
`

// A runHarness runs templates by the control socket, as the command does.
type runHarness struct {
	*machine.Machine
	client *api.Client
}

func newRunHarness(t *testing.T) runHarness {
	m := machine.New(t, "")
	return runHarness{m, m.Client()}
}

func (h runHarness) request(script, more string) group.RunRequest {
	text := fmt.Sprintf(job, machine.AttackImage, script, more)
	return group.RunRequest{ID: group.NewRunID("job"), Bundle: group.Bundle{Name: "job.hcl", Path: "/srv/job.hcl", HCL: []byte(text)}}
}

// nothingLeft checks that a run has left nothing but its result.
func (h runHarness) nothingLeft(t *testing.T, id string) {
	t.Helper()
	if left := h.LeftOf(id); len(left) > 0 {
		t.Errorf("left of run %s: %q", id, left)
	}
}

// A printed is the output of a run so far.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *printed) await(t *testing.T, want string) {
	t.Helper()
	machine.Eventually(t, time.Minute, fmt.Sprintf("the run prints %q", want), func() error {
		if got := p.String(); !strings.Contains(got, want) {
			return fmt.Errorf("it has printed %q", got)
		}
		return nil
	})
}

// TestRuns has runs as a caller sees them, one after the other.
func TestRuns(t *testing.T) {
	h := newRunHarness(t)
	t.Run("a status and both outputs", func(t *testing.T) {
		req := h.request("echo out; echo err >&2; printf 'no newline'; exit 3", "")
		var out, err bytes.Buffer
		run, runErr := h.client.Run(t.Context(), req, api.RunStreams{Stdout: &out, Stderr: &err})
		if runErr != nil || run.State != group.RunEnded || run.ExitCode() != 3 || run.Started.IsZero() {
			t.Errorf("it is %+v, error %v", run, runErr)
		}
		if out.String() != "out\nno newline" || err.String() != "err\n" {
			t.Errorf("it has printed %q and %q", out.String(), err.String())
		}
		h.nothingLeft(t, req.ID)
		if status, err := h.client.Wait(t.Context(), req.ID); status != 3 || err != nil {
			t.Errorf("wait: %d, %v", status, err)
		}
		if got := h.Run("logs", req.ID); !strings.Contains(got, "out") {
			t.Errorf("its output is %q", got)
		}
		var late bytes.Buffer // a request that comes again has the result, and runs nothing
		again, runErr := h.client.Run(t.Context(), req, api.RunStreams{Stdout: &late})
		if runErr != nil || again != run && again.ExitCode() != 3 || late.String() != out.String() {
			t.Errorf("again: %+v, %q, error %v", again, late.String(), runErr)
		}
	})
	t.Run("standard input", func(t *testing.T) {
		random := rand.NewChaCha8([32]byte{1})
		in := make([]byte, 3<<20) // more than the window, the pipes and the socket hold
		_, _ = random.Read(in)
		var out bytes.Buffer
		run, err := h.client.Run(t.Context(), h.request("exec cat", ""), api.RunStreams{Stdin: bytes.NewReader(in), Stdout: &out})
		if err != nil || run.ExitCode() != 0 || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("%+v, %d of %d bytes, error %v", run, out.Len(), len(in), err)
		}
	})
	t.Run("a signal", func(t *testing.T) {
		signals := make(chan syscall.Signal, 1)
		var out printed
		req := h.request("trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done", "")
		done := make(chan group.Run, 1)
		go func() {
			run, err := h.client.Run(t.Context(), req, api.RunStreams{Stdout: &out, Signals: signals})
			if err != nil {
				t.Error(err)
			}
			done <- run
		}()
		out.await(t, "ready")
		signals <- syscall.SIGTERM
		if run := <-done; run.ExitCode() != 9 || out.String() != "ready\ncaught\n" {
			t.Errorf("it is %+v, and has printed %q", run, out.String())
		}
	})
	t.Run("a timeout, and a sidecar that ignores its stop signal", func(t *testing.T) {
		req := h.request("exec sleep 1000", fmt.Sprintf(`sidecar "deaf" {
    image   = "%s"
    command = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    stop { timeout = "1s" }
  }`, machine.AttackImage))
		req.Bundle.HCL = bytes.Replace(req.Bundle.HCL, []byte(`app "work" {`), []byte("app \"work\" {\n    stop { timeout = \"1s\" }"), 1)
		req.Timeout = 300 * time.Millisecond
		run, err := h.client.Run(t.Context(), req, api.RunStreams{})
		if err != nil || !run.TimedOut || run.ExitCode() != 124 {
			t.Errorf("it is %+v, error %v", run, err)
		}
		h.nothingLeft(t, req.ID)
	})
	t.Run("a program that is not there", func(t *testing.T) {
		req := h.request("", "")
		req.Bundle.HCL = bytes.Replace(req.Bundle.HCL, []byte("/bin/sh"), []byte("/bin/none"), 1)
		run, err := h.client.Run(t.Context(), req, api.RunStreams{})
		if err != nil || run.State != group.RunNotRun || run.ExitCode() != 127 || run.Error == "" {
			t.Errorf("it is %+v, exit code %d, error %v", run, run.ExitCode(), err)
		}
		h.nothingLeft(t, req.ID)
	})
}

// TestRunOutlivesItsDaemon kills the daemon while a run goes on. Its caller comes back by itself
// and goes on with output and input where they were.
func TestRunOutlivesItsDaemon(t *testing.T) {
	h := newRunHarness(t)
	req := h.request("echo begun; i=0; while read line; do i=$((i+1)); echo $i $line; done; echo end $i; exit 5", "")
	in, write := io.Pipe()
	var out printed
	done := make(chan group.Run, 1)
	go func() {
		run, err := h.client.Run(t.Context(), req, api.RunStreams{Stdin: in, Stdout: &out})
		if err != nil {
			t.Error(err)
		}
		done <- run
	}()
	out.await(t, "begun")
	for i := range 4 {
		_, _ = fmt.Fprintf(write, "line %d\n", i)
		out.await(t, fmt.Sprintf("line %d", i))
		if i == 2 {
			h.Kill()
			h.Start()
		}
	}
	h.Kill()
	_, _ = fmt.Fprint(write, "while it was away\n")
	_ = write.Close()
	h.Start()
	run := <-done
	want := "begun\n1 line 0\n2 line 1\n3 line 2\n4 line 3\n5 while it was away\nend 5\n"
	if run.ExitCode() != 5 || out.String() != want {
		t.Errorf("it is %+v, and has printed %q", run, out.String())
	}
	h.nothingLeft(t, req.ID)
}

// TestRunEndsWithItsCaller ends the connection of a caller, as when it is killed.
func TestRunEndsWithItsCaller(t *testing.T) {
	h := newRunHarness(t)
	req := h.request("echo begun; exec sleep 1000", "")
	detached := h.request("exec sleep 1000", "")
	detached.Detach = true
	if run, err := h.client.Run(t.Context(), detached, api.RunStreams{}); err != nil || run.State.Over() {
		t.Fatalf("it is %+v, error %v", run, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var out printed
	done := make(chan error, 1)
	go func() {
		_, err := h.client.Run(ctx, req, api.RunStreams{Stdout: &out})
		done <- err
	}()
	out.await(t, "begun")
	cancel()
	if err := <-done; err == nil {
		t.Error("a caller whose context has ended got a result")
	}
	machine.Eventually(t, time.Minute, "the run is ended", func() error {
		run, err := h.client.RunOf(t.Context(), req.ID)
		if err != nil || run.State != group.RunEnded || run.Error != "its caller went away" {
			return fmt.Errorf("it is %+v, error %v", run, err)
		}
		return nil
	})
	h.nothingLeft(t, req.ID)
	if run, err := h.client.RunOf(t.Context(), detached.ID); err != nil || run.State != group.RunRunning {
		t.Errorf("the detached run is %+v, error %v", run, err)
	}
	h.Run("stop", detached.ID)
	h.nothingLeft(t, detached.ID)
}
