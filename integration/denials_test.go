package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// TestDenials: who was refused what is known within seconds, once and not twice, whatever becomes of the daemon meanwhile.
func TestDenials(t *testing.T) {
	m := newMachine(t, "")
	m.apply("g.hcl", fmt.Sprintf(attackers, attackImage))
	ns := m.netns("g")
	try := func(port int, technique, to string, times int) {
		t.Helper()
		for range times {
			attempt(t, ns, port, technique, to)
		}
	}
	try(7003, "tcp", world4, 3) // the control: what is not refused is not told of
	try(7001, "udp", victim4, 2)
	try(7002, "tcp", victim6, 1)
	m.denied("g", "app udp 198.51.100.66:80: 2", "side tcp [2001:db8:51::66]:80: 1")

	m.kill()
	try(7001, "udp", victim4, 3)
	try(7001, "tcp", victim4, 1)
	m.start()
	want := []string{"app tcp 198.51.100.66:80: 1", "app udp 198.51.100.66:80: 5", "side tcp [2001:db8:51::66]:80: 1"}
	m.denied("g", want...)
	m.stop()
	m.start()
	time.Sleep(2500 * time.Millisecond) // a little more than two looks
	m.denied("g", want...)

	// A container of which only its cgroup's number is left, with a daemon that has never seen it.
	m.run("restart", "g.app")
	m.kill()
	m.start()
	try(7001, "udp", victim4, 1)
	want[1] = "app udp 198.51.100.66:80: 6"
	m.denied("g", want...)

	m.run("rm", "g")
	m.denied("g", want...)
	if said := m.refused(1, "denials", "nobody"); !strings.Contains(said, "no such group") {
		t.Errorf("of a group that never was: %q", said)
	}
}

// denied waits until the denials of a group are these, each "container protocol destination: packets", sorted.
func (m *machine) denied(group string, want ...string) {
	m.t.Helper()
	eventually(m.t, 4*time.Second, "who was refused what", func() error {
		var got []string
		for dec := json.NewDecoder(strings.NewReader(m.run("denials", "--json", group))); dec.More(); {
			var d shim.Denial
			if err := dec.Decode(&d); err != nil {
				m.t.Fatal(err)
			}
			got = append(got, fmt.Sprintf("%s %s %s: %d", d.Container, d.Protocol, d.Destination, d.Packets))
		}
		slices.Sort(got)
		if !slices.Equal(want, got) {
			return fmt.Errorf("got %q, want %q", got, want)
		}
		return nil
	})
}

// TestEvents: what happens to a group is told as it happens, in order, and an interrupt ends it.
func TestEvents(t *testing.T) {
	m := newMachine(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd, lines := m.watch(ctx, "events", "-f")
	m.apply("pair.hcl", fmt.Sprintf(pair, attackImage, "one"))
	pids := m.pids("pair")
	expect := func(what ...string) {
		t.Helper()
		for line := range lines {
			if says(line, what...) == nil {
				return
			}
		}
		t.Fatalf("no event of %q", what)
	}
	expect("pair", "state", "starting")
	expect("pair", "state", "running")
	if err := syscall.Kill(int(pids["app"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	expect("pair", "state", "degraded")
	expect("pair.app", "restarted", "ended with status 137")
	expect("pair", "state", "running")
	m.run("rm", "pair")
	expect("pair", "state", "gone")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range lines { // until it has ended
	}
	if !cmd.ProcessState.Success() {
		t.Errorf("after an interrupt: %v", cmd.ProcessState)
	}
}

// watch runs a verb that goes on, and passes on what it prints. The lines end when it has ended.
func (m *machine) watch(ctx context.Context, args ...string) (*exec.Cmd, <-chan string) {
	m.t.Helper()
	cmd := exec.CommandContext(ctx, binary, append([]string{"--root", m.root}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := startIn(m.host, cmd); err != nil {
		m.t.Fatal(err)
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-ctx.Done():
			}
		}
		cmd.Wait()
	}()
	return cmd, lines
}
