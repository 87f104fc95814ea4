package ctrd

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	eventsapi "github.com/containerd/containerd/api/services/events/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/api/types/task"
	"github.com/containerd/typeurl/v2"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
)

// A fakeShim is a process that looks like a shim of a client, and has one child.
type fakeShim struct {
	cmd   *exec.Cmd
	child int
}

func startFakeShim(t *testing.T, c *Client) *fakeShim {
	t.Helper()
	cmd := exec.Command("sh", "-c", "sleep 1000 & echo $!; wait; exec sleep 1000",
		"shim", "-namespace", c.cfg.Layout.Namespace, "-address", c.cfg.Address, "-id", "g0.app")
	cmd.Args[0] = "containerd-shim-runc-v2"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	child, bad := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || bad != nil {
		t.Fatal(err, bad)
	}
	f := &fakeShim{cmd, child}
	t.Cleanup(func() {
		_ = unix.Kill(child, unix.SIGKILL)
		f.end()
	})
	return f
}

// end ends the shim. Its child gets another parent.
func (f *fakeShim) end() {
	f.cmd.Process.Kill()
	f.cmd.Wait()
}

// A runningDesk observes one group, whose container's task is a fakeShim's child.
type runningDesk struct {
	t    *testing.T
	s    *countedServer
	c    *Client
	shim *fakeShim
}

func newRunningDesk(t *testing.T) *runningDesk {
	t.Helper()
	s, c := serveCounted(t, 1)
	close(s.hold)
	d := &runningDesk{t, s, c, startFakeShim(t, c)}
	s.process = &task.Process{ID: "g0.app", Status: task.Status_RUNNING, Pid: uint32(d.shim.child)}
	if err := os.MkdirAll(c.cfg.Layout.FilesPath("g0", "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := markStarted(c.cfg.Layout, "g0", "app"); err != nil {
		t.Fatal(err)
	}
	return d
}

// want observes the group, and checks how often the task's shim was asked for that.
func (d *runningDesk) want(when string, asks int) {
	d.t.Helper()
	states, err := d.c.Observe(d.t.Context(), "g0")
	if err != nil || len(states) != 1 {
		d.t.Fatalf("%s: %+v, %v", when, states, err)
	}
	if s := states[0]; s.PID != uint32(d.shim.child) || s.Task != host.TaskRunning || s.StartedAt.IsZero() || s.Name != "app" {
		d.t.Errorf("%s: %+v", when, s)
	}
	if got := d.s.counted(); got["Tasks/Get"] != asks || got["Containers/ListStream"] != 1 {
		d.t.Errorf("%s: calls %v, want %d of the task", when, got, asks)
	}
}

// A task whose process lives runs, and its shim is not woken to say so. What may have changed
// anything has it asked.
func TestRunningTasksAreNotAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		do    func(d *runningDesk)
		asked bool // at each observation from then on
	}{
		"5 minutes": {do: func(d *runningDesk) {
			known := d.c.running.byGroup["g0"]["g0.app"]
			known.asked = known.asked.Add(-runningAsk)
			d.c.running.byGroup["g0"]["g0.app"] = known
		}},
		"events were lost":     {do: func(d *runningDesk) { d.c.running.forget("") }},
		"an event":             {do: func(d *runningDesk) { d.c.running.forget("g0") }},
		"its shim is silent":   {do: func(d *runningDesk) { _ = d.c.shimProblem(d.t.Context(), "g0") }}, // it listens nowhere
		"the shim has ended":   {do: func(d *runningDesk) { d.shim.end() }, asked: true},
		"the process is ended": {do: func(d *runningDesk) { endChild(d.t, d.shim.child) }, asked: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRunningDesk(t)
			d.want("first", 1)
			d.want("control: nothing has changed", 0)
			test.do(d)
			d.want(name, 1)
			again := 0
			if test.asked {
				again = 1
			}
			d.want(name+", and another look", again)
		})
	}
}

// endChild kills a process, and returns when it has ended.
func endChild(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for !readStat(pid).ended() {
		time.Sleep(time.Millisecond)
	}
}

// What is no child of a shim of ours, and a task in another state, has its shim asked each time.
func TestRunningTasksThatAreAskedFor(t *testing.T) {
	d := newRunningDesk(t)
	d.s.process.Status = task.Status_PAUSED
	d.want("paused", 1)
	d.want("still paused", 1)
	d.s.process.Status = task.Status_RUNNING
	d.c.cfg.Address += "another"
	d.want("another containerd's shim", 1)
	d.want("it still is", 1)
}

// What was asked for before an event is not known after it.
func TestRunningTasksOfBeforeAnEvent(t *testing.T) {
	d := newRunningDesk(t)
	begun := d.c.running.begin()
	running, ok := d.c.runningNow(d.s.process, time.Now(), time.Now())
	if !ok {
		t.Fatal("control: it doesn't run")
	}
	known := map[string]runningTask{"g0.app": running}
	d.c.running.forget("g1")
	d.c.running.keep("g0", known, begun)
	if _, ok := d.c.running.find("g0", "g0.app", time.Now()); ok {
		t.Error("known, although there was an event meanwhile")
	}
	d.c.running.keep("g0", known, d.c.running.begin())
	if _, ok := d.c.running.find("g0", "g0.app", time.Now()); !ok {
		t.Error("control: unknown, although there was no event")
	}
	d.c.running.keep("g0", nil, d.c.running.begin())
	if len(d.c.running.byGroup) != 0 {
		t.Errorf("a group without containers is kept: %v", d.c.running.byGroup)
	}
}

// Events have what is known forgotten before the runner is woken. So do those that may be lost.
func TestEventsForgetRunningTasks(t *testing.T) {
	d := newRunningDesk(t)
	d.want("first", 1)
	ctx, cancel := context.WithCancel(t.Context())
	changed, done := make(chan string), make(chan error, 1)
	go func() { done <- d.c.Watch(ctx, func(group string) { changed <- group }) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	for _, group := range []string{"", "g0"} {
		if got := <-changed; got != group {
			t.Fatalf("woken for %q, want %q", got, group)
		}
		d.s.counted()
		d.want("woken for "+group, 1)
		d.want("and not again", 0)
		if group == "" {
			d.s.events <- &eventtypes.TaskExit{ContainerID: "g0.app", ID: "g0.app"}
		}
	}
}

// Subscribe sends the events that the test gives.
func (s countedEvents) Subscribe(_ *eventsapi.SubscribeRequest, stream eventsapi.Events_SubscribeServer) error {
	for {
		select {
		case e := <-s.events:
			event, err := typeurl.MarshalAnyToProto(e)
			if err != nil {
				return err
			}
			if err := stream.Send(&types.Envelope{Namespace: "test", Topic: "/tasks/exit", Event: event}); err != nil {
				return err
			}
		case <-stream.Context().Done():
			return nil
		}
	}
}

type countedEvents struct {
	eventsapi.UnimplementedEventsServer
	*countedServer
}
