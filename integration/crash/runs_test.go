package crash

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// `make soak` raises these.
var (
	runJobs        = flag.Int("runs", 40, "jobs of TestRunsSoak")
	runDaemonKills = flag.Int("run-kills", 4, "daemons killed under TestRunsSoak")
	runCallerKills = flag.Int("caller-kills", 8, "callers killed under TestRunsSoak")
)

// jobText is a job that writes down its beginning and its end, in a folder of the host. Its status
// is the last digit of its number. %[2]s is the folder.
const jobText = `
group "job" {
  egress = "none"
  app "app" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "echo $N >> /out/began; echo $N; sleep 0.$(($N %% 4)); echo $N >> /out/ended; exit $(($N %% 10))"]
    stop    { signal = "SIGKILL" }
    mount "out" { path = "/out" }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
  volume "out" { host_path = "%[2]s" }
}
`

// A jobCall is one call of run, and what came of it.
type jobCall struct {
	n      int
	killed bool // the caller was killed
	status int
	out    string
	errors string
	notRun []string // what it was told each time that the job did not run
}

// TestRunsSoak runs jobs by eight, and kills daemons and callers meanwhile. Each job runs once, or
// its caller is told that it did not run. In the end nothing of any is left.
func TestRunsSoak(t *testing.T) {
	m := machine.New(t, "")
	before := m.HostNetwork(t)
	out := t.TempDir()
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	file := m.Write("job.hcl", fmt.Sprintf(jobText, machine.AttackImage, out))
	calls := make([]jobCall, *runJobs)
	for _, n := range rand.Perm(*runJobs)[:*runCallerKills] {
		calls[n].killed = true
	}
	var next, over atomic.Int64
	var callers sync.WaitGroup
	for range 8 {
		callers.Go(func() {
			for n := int(next.Add(1) - 1); n < len(calls); n = int(next.Add(1) - 1) {
				calls[n].n = n
				if err := calls[n].untilItRuns(m, file); err != nil {
					t.Error(err)
				}
				over.Add(1)
			}
		})
	}
	for k := range *runDaemonKills { // spread over the jobs
		due := int64((k + 1) * *runJobs / (*runDaemonKills + 1))
		for over.Load() < due {
			time.Sleep(10 * time.Millisecond)
		}
		m.Kill()
		m.Start()
	}
	callers.Wait()
	began, ended := numbers(t, filepath.Join(out, "began")), numbers(t, filepath.Join(out, "ended"))
	var notRun, cut int
	for _, c := range calls {
		switch {
		case began[c.n] > 1 || ended[c.n] > began[c.n]:
			t.Errorf("job %d began %d times and ended %d times", c.n, began[c.n], ended[c.n])
		case c.killed:
			cut++
			continue
		case began[c.n] != 1 || ended[c.n] != 1 || c.status != c.n%10 || strings.TrimSpace(c.out) != fmt.Sprint(c.n):
			t.Errorf("job %d began %d times, ended %d times, and its caller got status %d, output %q and %q", c.n, began[c.n], ended[c.n], c.status, c.out, c.errors)
		}
		notRun += len(c.notRun)
		for _, said := range c.notRun {
			t.Logf("job %d was told of as not run: %s", c.n, said)
		}
	}
	t.Logf("%d jobs, %d of killed callers, %d told of as not run, %d daemons killed", len(calls), cut, notRun, *runDaemonKills)
	machine.Eventually(t, time.Minute, "all runs are over", func() error {
		var all []group.Run
		if err := json.Unmarshal([]byte(m.Run("run", "ls", "--json")), &all); err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(r group.Run) bool { return !r.State.Over() }); i >= 0 {
			return fmt.Errorf("%s is %s", all[i].ID, all[i].State)
		}
		return nil
	})
	m.CheckNoGroup(t)
	if left := m.LeftInContainerd("job-"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if diff := cmp.Diff(before, m.HostNetwork(t)); diff != "" {
		t.Errorf("the host's network (-before +now):\n%s", diff)
	}
}

// untilItRuns makes the call again while the caller is told that the job did not run, because there
// is no daemon or it was killed. If that isn't true, the job begins twice.
func (c *jobCall) untilItRuns(m *machine.Machine, file string) error {
	return machine.Retry(2*time.Minute, func() error {
		if err := c.make(m, file); err != nil || c.killed || c.status != 125 {
			return err
		}
		c.notRun = append(c.notRun, c.errors)
		time.Sleep(300 * time.Millisecond) // more calls would keep the next daemon from its start
		return errors.New(c.errors)
	})
}

// make runs the job, and waits for the end of its caller.
func (c *jobCall) make(m *machine.Machine, file string) error {
	cmd := exec.Command(m.Binary, "--root", m.Root, "run", file, "-e", fmt.Sprintf("N=%d", c.n))
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := machine.StartIn(m.Host, cmd); err != nil {
		return err
	}
	if c.killed {
		time.Sleep(time.Duration(rand.IntN(500)) * time.Millisecond)
		_ = cmd.Process.Kill() // it may have ended
	}
	_ = cmd.Wait() // the status is looked at below
	c.status, c.out, c.errors = cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	return nil
}

// numbers counts the lines of a file by their number.
func numbers(t *testing.T, file string) map[int]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	count := map[int]int{}
	for word := range strings.FieldsSeq(string(text)) {
		var n int
		if _, err := fmt.Sscan(word, &n); err != nil {
			t.Fatal(err)
		}
		count[n]++
	}
	return count
}

// TestRunCrashPoints kills the daemon before, during and after each step of a run. The caller gets
// the result, or is told that there is none. The job ran once at most, and nothing of it is left.
func TestRunCrashPoints(t *testing.T) {
	m := machine.NewIdle(t, "")
	m.Binary = failpointBinary
	point := filepath.Join(m.Root, "failpoint")
	m.Start(failpointEnv + "=" + point)
	before := m.HostNetwork(t)
	out := t.TempDir()
	if err := os.Chmod(out, 0o777); err != nil {
		t.Fatal(err)
	}
	file := m.Write("job.hcl", fmt.Sprintf(jobText, machine.AttackImage, out))
	n := 3 // its status
	for _, step := range []string{"mount:1", "seal:1", "create:1", "start:1", "start:2", "stop:1", "remove:1", "unmount:1", "disconnect:1"} {
		for _, when := range []string{"before", "during", "after"} {
			n += 10
			name := when + ":" + step
			if err := os.WriteFile(point, []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
			call := jobCall{n: n}
			done := make(chan error, 1)
			go func() { done <- call.make(m, file) }()
			machine.Eventually(t, time.Minute, name+": the daemon kills itself", func() error {
				if !m.Exited() {
					return errors.New("it runs")
				}
				return nil
			})
			if err := os.Remove(point); err != nil {
				t.Fatal(err)
			}
			m.Kill()
			m.Start(failpointEnv + "=" + point)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			began, ended := numbers(t, filepath.Join(out, "began")), numbers(t, filepath.Join(out, "ended"))
			switch {
			case began[n] > 1 || ended[n] > began[n]:
				t.Errorf("%s: the job began %d times and ended %d times", name, began[n], ended[n])
			case call.status == 125 && call.errors != "":
				t.Logf("%s: it began %d times, and its caller was told: %s", name, began[n], call.errors)
			case began[n] != 1 || ended[n] != 1 || call.status != 3 || strings.TrimSpace(call.out) != fmt.Sprint(n):
				t.Errorf("%s: the job began %d times and ended %d times, and its caller got status %d, %q and %q", name, began[n], ended[n], call.status, call.out, call.errors)
			}
		}
	}
	m.CheckNoGroup(t)
	if left := m.LeftInContainerd("job-"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if diff := cmp.Diff(before, m.HostNetwork(t)); diff != "" {
		t.Errorf("the host's network (-before +now):\n%s", diff)
	}
}
