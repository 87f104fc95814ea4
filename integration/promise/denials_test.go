package promise

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

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/host"
)

// TestDenials checks that each denial is known within seconds, and counted once, in whatever way
// the daemon ends meanwhile.
func TestDenials(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(attackers, machine.AttackImage))
	ns := m.Netns("g")
	try := func(port int, technique, to string, times int) {
		t.Helper()
		for range times {
			attempt(t, ns, port, technique, to)
		}
	}
	try(7003, "tcp", machine.Remote4, 3) // the control: an allowed connection is no denial
	try(7001, "udp", machine.Victim4, 2)
	try(7002, "tcp", machine.Victim6, 1)
	expectDenials(m, "g", "app udp 198.51.100.66:80: 2", "side tcp [2001:db8:51::66]:80: 1")

	m.Kill()
	try(7001, "udp", machine.Victim4, 3)
	try(7001, "tcp", machine.Victim4, 1)
	m.Start()
	want := []string{"app tcp 198.51.100.66:80: 1", "app udp 198.51.100.66:80: 5", "side tcp [2001:db8:51::66]:80: 1"}
	expectDenials(m, "g", want...)
	m.Stop()
	m.Start()
	time.Sleep(2500 * time.Millisecond) // a little more than two looks
	expectDenials(m, "g", want...)

	// The number of its cgroup is all that is left of this container, and this daemon has never
	// seen it.
	m.Run("restart", "g.app")
	m.Kill()
	m.Start()
	try(7001, "udp", machine.Victim4, 1)
	want[1] = "app udp 198.51.100.66:80: 6"
	expectDenials(m, "g", want...)

	m.Run("rm", "g")
	expectDenials(m, "g", want...)
	if said := m.Fails(1, "denials", "missing"); !strings.Contains(said, "no such group") {
		t.Errorf("of a group that never was: %q", said)
	}
}

// expectDenials waits until a group has these denials, sorted, each "container protocol
// destination: packets".
func expectDenials(m *machine.Machine, group string, want ...string) {
	m.T.Helper()
	machine.Eventually(m.T, machine.BeforeResync, "who was refused what", func() error {
		var got []string
		for dec := json.NewDecoder(strings.NewReader(m.Run("denials", "--json", group))); dec.More(); {
			var d host.Denial
			if err := dec.Decode(&d); err != nil {
				m.T.Fatal(err)
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

// TestEvents checks that events come when they happen, in order, and that an interrupt ends the
// command.
func TestEvents(t *testing.T) {
	m := machine.New(t, "")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd, lines := startCommand(ctx, m, "events", "-f")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	pids := m.Pids("pair")
	expect := func(what ...string) {
		t.Helper()
		for line := range lines {
			if machine.Contains(line, what...) == nil {
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
	m.Run("rm", "pair")
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

// startCommand runs a command that goes on, and returns the lines that it prints. The channel is
// closed when it has ended.
func startCommand(ctx context.Context, m *machine.Machine, args ...string) (*exec.Cmd, <-chan string) {
	m.T.Helper()
	cmd := exec.CommandContext(ctx, m.Binary, append([]string{"--root", m.Root}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		m.T.Fatal(err)
	}
	if err := machine.StartIn(m.Host, cmd); err != nil {
		m.T.Fatal(err)
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
