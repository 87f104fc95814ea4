package crash

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// A serviceManager is the part of systemd that a service speaks to.
type serviceManager struct {
	t      *testing.T
	socket *net.UnixConn
	path   string
}

func newServiceManager(t *testing.T) *serviceManager {
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return &serviceManager{t, socket, path}
}

// env returns the variables that systemd sets for a service with a watchdog.
func (s *serviceManager) env(watchdog time.Duration) []string {
	return []string{"NOTIFY_SOCKET=" + s.path, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds())}
}

// await returns when the service has sent a message.
func (s *serviceManager) await(message string, limit time.Duration) error {
	s.socket.SetReadDeadline(time.Now().Add(limit))
	buf := make([]byte, 1<<12)
	for {
		n, err := s.socket.Read(buf)
		if err != nil {
			return fmt.Errorf("no %s within %v: %w", message, limit, err)
		}
		if strings.Contains(string(buf[:n]), message) {
			return nil
		}
	}
}

// forget drops what the service has sent so far.
func (s *serviceManager) forget() {
	for s.await("", time.Millisecond) == nil {
	}
}

// watchdogTime is a unit's WatchdogSec. It leaves room for a host that is busy with other tests.
const watchdogTime = 8 * time.Second

// fed fails the test unless the service feeds its watchdog three times in a row.
func (s *serviceManager) fed(when string) {
	s.t.Helper()
	s.forget()
	for range 3 {
		if err := s.await("WATCHDOG=1", watchdogTime); err != nil {
			s.t.Fatalf("%s: %v", when, err)
		}
	}
}

// TestWatchdog hangs the host's parts, and then the daemon's own loop.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	systemd := newServiceManager(t)
	m := machine.NewIdle(t, "")
	m.Binary = failpointBinary
	point := filepath.Join(m.Root, "failpoint")
	m.Start(append(systemd.env(watchdogTime), "SALLYPORT_FAILPOINT="+point)...)
	if err := systemd.await("READY=1", time.Minute); err != nil {
		t.Fatal(err)
	}
	systemd.fed("without groups")
	m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
	systemd.fed("with a group")

	machine.MustInNetns(t, m.Host, func() error {
		up, err := netlink.LinkByName("up0")
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(up)
	})
	systemd.fed("without an uplink")

	thaw := m.FreezeContainerd(t)
	systemd.fed("with a containerd that hangs")
	thaw()
	m.AwaitRunning("pair")

	if err := os.WriteFile(point, []byte("hang:create:1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(m.Groups, "steady.hcl"), fmt.Appendf(nil, steady, machine.AttackImage), 0o600); err != nil {
		t.Fatal(err)
	}
	m.Out.WaitFor(t, "the loop of a group hangs")
	systemd.forget()
	if err := systemd.await("WATCHDOG=1", watchdogTime); err == nil {
		t.Error("fed, although the loop of a group hangs")
	}
	if err := os.Remove(point); err != nil {
		t.Fatal(err)
	}
	systemd.fed("when the loop goes on")
	m.AwaitRunning("steady")
}

// TestContainerdService runs the private containerd as a service of its own. Nothing that happens
// to the daemon ends it, and nothing that happens to it ends a container.
func TestContainerdService(t *testing.T) {
	for name, server := range machine.Servers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := machine.NewIdle(t, server)
			c := &containerdService{Machine: m}
			c.start(t)
			defer c.stop(t)
			m.Start("SALLYPORT_CONTAINERD_SERVICE=true")
			m.Apply("pair.hcl", fmt.Sprintf(machine.Pair, machine.AttackImage, "one"))
			before, containerd := m.Pids("pair"), m.Containerd()
			same := func(what string) {
				t.Helper()
				machine.Eventually(t, time.Minute, what+": pair is as it was", func() error {
					g := m.Status("pair")
					if now := machine.PidsOf(g); g.State != group.Running || g.Error != "" || !maps.Equal(before, now) {
						return fmt.Errorf("%s %s: it was %v, and is %v", g.State, g.Error, before, now)
					}
					return nil
				})
			}
			m.Stop()
			if now := m.Containerd(); now != containerd {
				t.Errorf("after the daemon's end containerd is process %d, and was %d", now, containerd)
			}
			m.Start("SALLYPORT_CONTAINERD_SERVICE=true")
			same("after a restart of the daemon")

			// A second one, and a daemon that was started by hand, leave it alone.
			if out, err := m.Try(append([]string{"containerd"}, m.DaemonArgs()[1:]...)...); err == nil || !strings.Contains(err.Error(), "runs the private containerd") {
				t.Errorf("a second service: %v\n%s", err, out)
			}
			m.Stop()
			m.Start()
			m.Stop()
			if now := m.Containerd(); now != containerd {
				t.Errorf("after a daemon by hand containerd is process %d, and was %d", now, containerd)
			}
			m.Start("SALLYPORT_CONTAINERD_SERVICE=true")

			c.cmd.Process.Kill()
			c.cmd.Wait()
			c.start(t)
			same("after the service was killed")
			if now := m.Containerd(); now != containerd {
				t.Errorf("after a kill of the service containerd is process %d, and was %d", now, containerd)
			}
			c.stop(t)
			if pid := m.Containerd(); pid != 0 {
				t.Errorf("containerd, process %d, outlived its service", pid)
			}
			c.start(t)
			same("after a restart of the service")
			m.Run("restart", "pair")
			m.Run("rm", "pair")
			m.Stop()
			c.stop(t) // the machine's own clean-up starts a daemon with a containerd of its own
		})
	}
}

// A containerdService is "sallyport containerd" beside a daemon.
type containerdService struct {
	*machine.Machine
	cmd *exec.Cmd
	out machine.Output
}

func (c *containerdService) start(t *testing.T) {
	t.Helper()
	systemd := newServiceManager(t)
	c.cmd = exec.Command(c.Binary, append([]string{"containerd"}, c.DaemonArgs()[1:]...)...)
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	c.cmd.Env = append(os.Environ(), systemd.env(0)...)
	if err := machine.StartIn(c.Host, c.cmd); err != nil {
		t.Fatal(err)
	}
	if err := systemd.await("READY=1", time.Minute); err != nil {
		t.Fatalf("the private containerd: %v\n%s", err, &c.out)
	}
}

// stop ends the service if it runs.
func (c *containerdService) stop(t *testing.T) {
	t.Helper()
	if c.cmd.ProcessState != nil {
		return
	}
	c.cmd.Process.Signal(syscall.SIGTERM)
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("the end of the private containerd's service: %v\n%s", err, &c.out)
	}
}
