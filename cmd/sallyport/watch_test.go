package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containerd/console"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// A changingDaemon has groups that change, with an event or without.
type changingDaemon struct {
	*fakeDaemon
	mu     sync.Mutex
	groups []group.Status
	err    error
	events chan group.Event
}

func (d *changingDaemon) set(groups []group.Status, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.groups, d.err = groups, err
}

func (d *changingDaemon) Status(string) ([]group.Status, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.groups, d.err
}

func (d *changingDaemon) Problems() []group.FileProblem { return nil }

func (d *changingDaemon) follow(ctx context.Context, _ group.EventQuery, emit func(group.Event) error) error {
	for {
		select {
		case e := <-d.events:
			if err := emit(e); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// watching serves a changing daemon. poll is between two looks without an event.
func watching(t *testing.T, poll time.Duration, names ...string) (d *changingDaemon, client *api.Client, verb *psVerb) {
	t.Helper()
	was := watchPoll
	watchPoll = poll
	t.Cleanup(func() { watchPoll = was })
	d = &changingDaemon{fakeDaemon: &fakeDaemon{calls: filepath.Join(t.TempDir(), "calls")}, events: make(chan group.Event)}
	socket := serveAt(t, api.ServerConfig{Keeper: d, Exec: d, Logs: d.logs, Removed: d.removed, Events: d.follow})
	return d, api.NewClient(socket), &psVerb{Groups: names, Watch: true}
}

// watchInPipe runs the verb until the test ends it, and returns the lines that it prints.
func watchInPipe(t *testing.T, verb *psVerb, client *api.Client, clock func() time.Time) (out, errs <-chan string, end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	outR, outW, err1 := os.Pipe()
	errR, errW, err2 := os.Pipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	u := newUI(nil, outW, errW, nil)
	u.clock = clock
	done := make(chan error, 1)
	go func() { done <- verb.watch(ctx, u, client) }()
	lines := func(f *os.File) <-chan string {
		c := make(chan string, 100)
		go func() {
			defer close(c)
			for s := bufio.NewScanner(f); s.Scan(); {
				c <- s.Text()
			}
		}()
		return c
	}
	return lines(outR), lines(errR), func() {
		t.Helper()
		cancel()
		if err := errors.Join(<-done, outW.Close(), errW.Close()); err != nil {
			t.Errorf("the end by Ctrl-C: %v", err)
		}
	}
}

func expectLine(t *testing.T, lines <-chan string, part string) {
	t.Helper()
	select {
	case line := <-lines:
		if !strings.Contains(line, part) {
			t.Fatalf("got the line %q, want one with %q", line, part)
		}
	case <-time.After(time.Minute):
		t.Fatalf("no line with %q", part)
	}
}

// An event makes a new list at once. This poll is far away.
func TestWatchEvent(t *testing.T) {
	d, client, verb := watching(t, time.Hour)
	d.set([]group.Status{{Name: "web", State: group.Starting}}, nil)
	out, _, end := watchInPipe(t, verb, client, time.Now)
	expectLine(t, out, "GROUP")
	expectLine(t, out, "starting")
	d.set([]group.Status{{Name: "web", State: group.Running}}, nil)
	d.events <- group.Event{Kind: group.EventState}
	expectLine(t, out, "GROUP")
	expectLine(t, out, "running")
	end()
	if line, more := <-out; more {
		t.Errorf("printed %q, too", line)
	}
}

// What changes without an event is found by looking. An age alone is no change in a pipe, and a
// daemon that is away for a while does not end the verb.
func TestWatchPoll(t *testing.T) {
	d, client, verb := watching(t, time.Millisecond, "web", "db")
	var mu sync.Mutex
	at := now
	looked := make(chan struct{})
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		at = at.Add(time.Minute)
		select {
		case looked <- struct{}{}:
		default:
		}
		return at
	}
	d.set([]group.Status{{Name: "web", State: group.Running, Since: before(time.Hour), Containers: make([]group.ContainerStatus, 1)}}, nil)
	out, errs, end := watchInPipe(t, verb, client, clock)
	expectLine(t, out, "GROUP")
	expectLine(t, out, "0/1")
	expectLine(t, errs, `error: group "db": no such group`)
	expectLine(t, errs, "hint: ")
	for range 5 {
		<-looked
	}
	d.set(nil, errors.New("no answer yet"))
	expectLine(t, errs, "error: no answer yet")
	d.set([]group.Status{{Name: "web", State: group.Running, Since: before(time.Hour), Containers: make([]group.ContainerStatus, 2)}, {Name: "db"}}, nil)
	expectLine(t, out, "GROUP")
	expectLine(t, out, "0/2")
	expectLine(t, out, "db")
	end()
}

// A terminal shows the list on its other screen, in place, and keeps the last one.
func TestWatchInPlace(t *testing.T) {
	d, client, verb := watching(t, time.Hour)
	master, slave := openPTY(t)
	if err := master.Resize(console.WinSize{Width: 40, Height: 5}); err != nil {
		t.Fatal(err)
	}
	d.set([]group.Status{{Name: "web", State: group.Starting}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- verb.watch(ctx, newUI(slave, slave, slave, []string{"NO_COLOR=1"}), client) }()
	screen := bufio.NewReader(master)
	read := func(until string) string {
		t.Helper()
		text := ""
		for !strings.HasSuffix(text, until) {
			b, err := screen.ReadByte()
			if err != nil {
				t.Fatalf("got %q: %v", text, err)
			}
			text += string(b)
		}
		return text
	}
	if got, want := read(clearBelow), otherScreen+home+"GROUP  STATE     CONTAINERS  FOR  PORTS"+clearLine+"\r\nweb    starting  0/0         -    -"+clearLine+"\r\n"+clearBelow; got != want {
		t.Errorf("at first %q, want %q", got, want)
	}
	var many []group.Status
	for _, name := range []string{"a", "b", "c", "d"} {
		many = append(many, group.Status{Name: name, State: group.Running})
	}
	d.set(many, nil)
	d.events <- group.Event{Kind: group.EventState}
	if got, want := read(clearBelow), "... and 2 more lines"+clearLine; !strings.HasPrefix(got, home+"GROUP  STATE ") || !strings.Contains(got, "\nb ") || strings.Contains(got, "\nc ") || !strings.Contains(got, want) {
		t.Errorf("for want of room %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the end by Ctrl-C: %v", err)
	}
	slave.Close()
	if got := read("\nd      running  0/0         -    -\r\n"); !strings.HasPrefix(got, ownScreen+"GROUP ") {
		t.Errorf("at the end %q", got)
	}
}
