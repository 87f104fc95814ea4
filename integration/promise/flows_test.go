package promise

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

const flowsTitle = "5. To speak on the ambassador's flows, and in its place"

// takeover is a group whose ambassador shares its ports with any process that wants them: the
// published port on which it listens, and the ports from which it calls the remote host. A member
// carries out orders.
const takeover = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/bin/sh", "-c", "/attack steady 198.51.100.10 80 & /attack steady 2001:db8:51::10 80 & exec /attack listen 7444 ambassador"]
    stop    { signal = "SIGKILL" }
    publish "tcp" {
      host = 8444
      port = 7444
    }
    publish "udp" {
      host     = 8444
      port     = 7444
      protocol = "udp"
    }
  }
}
`

// silence is how long an answer is waited for where none may come, or where the attempt is
// repeated.
const silence = 300 * time.Millisecond

// callerPort is the port from which the remote host calls in answer-tcp and answer-udp.
const callerPort = 5555

// carrying accepts frames that contain a word.
func carrying(word string) func(machine.Frame) bool {
	return func(f machine.Frame) bool { return bytes.Contains(f.Data, []byte(word)) }
}

const attackers4, attackers6 = "192.0.2.2", "2001:db8:1::2" // the remote end of the uplink

// TestPromiseFlows is the second half of class 5.
func TestPromiseFlows(t *testing.T) {
	m := machine.New(t, "")
	m.Echo(t, machine.RemotePort+1)
	m.Apply("g.hcl", fmt.Sprintf(takeover, machine.AttackImage))
	ns, seen, s := m.Netns("g"), machine.NewCapture(t, m.Host), newSection(t, flowsTitle)
	machine.Eventually(t, time.Minute, "the ambassador speaks on all its flows", func() error {
		if n := len(flowsOf(seen.Take(t, carrying("honest")))); n != 4 {
			return fmt.Errorf("on %d", n)
		}
		return nil
	})
	calls := openFlows(t, m)
	for _, x := range []struct {
		technique, what, to4, to6 string

		port    int
		without int // the port to which there is no such flow, for the control
	}{
		{"steal-udp", "udp on the flow it has to the remote host", machine.Remote4, machine.Remote6, machine.RemotePort, machine.RemotePort},
		{"steal-tcp", "tcp on the flow it has to the remote host", machine.Remote4, machine.Remote6, machine.RemotePort, machine.RemotePort + 1},
		{"answer-udp", "udp answer on the flow a caller has to it", attackers4, attackers6, callerPort, callerPort},
		{"answer-tcp", "tcp answer on the flow a caller has to it", attackers4, attackers6, callerPort, machine.RemotePort + 1},
	} {
		for _, to := range []string{x.to4, x.to6} {
			seen.Take(t, machine.AnyFrame)
			o := ask(t, ns, 7001, attackOrder{"self", x.technique, to, x.port})
			out := seen.Take(t, carrying("sallyport-attack"))
			s.add(technique{name: x.what}.row(to, try{who: "app", o: o}, out), o.Error, out)
			asRoot(m, ns, attackOrder{"self", x.technique, to, x.without})
			who := "root there"
			if x.without != x.port {
				who = "root there, where there is no flow"
			}
			if len(seen.Take(t, carrying("sallyport-attack"))) == 0 {
				t.Errorf("%s over %s by root there was not seen either", x.technique, family(to))
			}
			s.control(x.what, family(to), who)
		}
	}
	for _, c := range calls {
		c.Close()
	}
	tryBinding(m, s)
	trySharedPort(m, s)
}

// flowsOf returns the flows that frames belong to, by protocol and address.
func flowsOf(out []machine.Frame) map[string]bool {
	flows := map[string]bool{}
	for _, f := range out {
		flows[fmt.Sprint(f.Protocol(), f.Dst())] = true
	}
	return flows
}

// openFlows opens a flow of each kind from the remote host to the ambassador, and waits for its
// answers.
func openFlows(t testing.TB, m *machine.Machine) (calls []net.Conn) {
	t.Helper()
	for _, addr := range []string{machine.Host4, machine.Host6} {
		for _, proto := range []string{"tcp", "udp"} {
			var c net.Conn
			machine.Eventually(t, time.Minute, "the ambassador answers "+proto+" at "+addr, func() (err error) {
				c, err = dialFrom(m, proto, addr, 8444, callerPort, silence)
				if err == nil {
					_, err = whoSpeaks(c, silence)
				}
				return err
			})
			t.Cleanup(func() { c.Close() })
			calls = append(calls, c)
		}
	}
	return calls
}

// dialFrom calls the host from a port of the remote host, and sends hello.
func dialFrom(m *machine.Machine, proto, addr string, port, from int, patience time.Duration) (c net.Conn, err error) {
	err = machine.InNetns(m.Remote, func() (err error) {
		d := net.Dialer{Timeout: patience, LocalAddr: localPort(proto, from), Control: reuse}
		c, err = d.Dial(proto, net.JoinHostPort(addr, fmt.Sprint(port)))
		return err
	})
	if err == nil {
		_, err = c.Write([]byte("hello"))
	}
	return c, err
}

func localPort(proto string, port int) net.Addr {
	if proto == "tcp" {
		return &net.TCPAddr{Port: port}
	}
	return &net.UDPAddr{Port: port}
}

// whoSpeaks reads an answer, which begins with the name of its sender.
func whoSpeaks(c net.Conn, patience time.Duration) (string, error) {
	c.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 64)
	n, err := c.Read(buf)
	if err != nil {
		return "none", err
	}
	for _, name := range []string{"ambassador", "member"} {
		if strings.HasPrefix(string(buf[:n]), name) {
			return name, nil
		}
	}
	return "", fmt.Errorf("%q is no name", buf[:n])
}

// reuse makes it possible to call from the same port again at once.
func reuse(_, _ string, c syscall.RawConn) (err error) {
	c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return err
}

// tryBinding lets a member try to listen on the published port too: beside the ambassador, while it
// is gone, and when it is back. The member is refused each time, and then all of 15 callers reach
// the ambassador.
func tryBinding(m *machine.Machine, s *section) {
	m.T.Helper()
	ns := m.Netns("g")
	refused := func(when string) {
		m.T.Helper()
		if o := ask(m.T, ns, 7001, attackOrder{"self", "squat", nowhere, 0}); !strings.Contains(o.Error, unix.EPERM.Error()) {
			m.T.Errorf("%s the member listens on the ambassador's port: %q, want %v", when, o.Error, unix.EPERM)
		}
	}
	refused("beside the ambassador")
	before := killAmbassador(m)
	refused("while the ambassador is gone")
	awaitAmbassador(m, before)
	refused("when the ambassador is back")
	for _, addr := range []string{machine.Host4, machine.Host6} {
		for _, proto := range []string{"tcp", "udp"} {
			machine.Eventually(m.T, time.Minute, "the ambassador listens", func() error {
				if who := whoAnswers(m, proto, addr, silence); who != "ambassador" {
					return fmt.Errorf("%q answers", who)
				}
				return nil
			})
			r := row{technique: proto + " callers of the port that it tries to share", family: family(addr), who: "app", expected: answered, seen: answered, told: "refused", control: "the same when it shares the port"}
			for range 15 {
				if whoAnswers(m, proto, addr, 20*time.Second) != "ambassador" {
					r.seen = silent
				}
			}
			s.add(r)
		}
	}
}

func killAmbassador(m *machine.Machine) (pid uint32) {
	m.T.Helper()
	pid = m.Pids("g")["amb"]
	unix.Kill(int(pid), unix.SIGKILL)
	return pid
}

func awaitAmbassador(m *machine.Machine, before uint32) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "the ambassador is back", func() error {
		if now := m.Pids("g")["amb"]; now == 0 || now == before {
			return fmt.Errorf("its process is %d", now)
		}
		return nil
	})
}

// shareBehindTheFence lets a member listen on the published port all the same: while the fence is
// down, for which the daemon stands still. Some callers don't reach the ambassador then.
func shareBehindTheFence(m *machine.Machine) {
	m.T.Helper()
	told := len(m.Events("g", group.EventDrift))
	thaw := m.Freeze()
	machine.DropFence(m.T, m.CgroupV2("g/members"))
	o := ask(m.T, m.Netns("g"), 7001, attackOrder{"self", "squat", nowhere, 0})
	thaw()
	if o.Error != "" {
		m.T.Fatalf("the member can't listen on the ambassador's port: %s", o.Error)
	}
	machine.Eventually(m.T, putBackWithin, "the fence is put back", func() error {
		if len(m.Events("g", group.EventDrift)) == told {
			return errors.New("no event")
		}
		return nil
	})
	for _, proto := range []string{"tcp", "udp"} {
		lost := false
		for range 15 {
			lost = lost || whoAnswers(m, proto, machine.Host4, silence) != "ambassador"
		}
		if !lost {
			m.T.Errorf("control: all %s callers reach the ambassador although a member shares its port", proto)
		}
	}
}

// trySharedPort lets a member listen on the published port too. It calls that port over and over
// while the ambassador is killed and comes back. The member never answers.
func trySharedPort(m *machine.Machine, s *section) {
	m.T.Helper()
	ns := m.Netns("g")
	shareBehindTheFence(m)
	var answers sync.Map
	stop := callRepeatedly(m, &answers)
	for range 2 {
		m.Run("restart", "g.amb")
		awaitAmbassador(m, killAmbassador(m))
	}
	stop()
	defer m.Freeze()()
	for _, addr := range []string{machine.Host4, machine.Host6} {
		for _, proto := range []string{"tcp", "udp"} {
			r := row{technique: proto + " callers of the port it shares, over restarts", family: family(addr), who: "app", expected: silent, seen: silent, control: "the same without rules and fence"}
			if _, ok := answers.Load(proto + addr + "member"); ok {
				r.seen = answered
			}
			s.add(r)
			machine.Eventually(m.T, time.Minute, "the member answers "+proto+" over "+family(addr)+" when nothing stops it", func() error {
				machine.DropTables(m.T, ns)
				machine.DropFence(m.T, m.CgroupV2("g/members"))
				if who := whoAnswers(m, proto, addr, silence); who != "member" {
					return fmt.Errorf("%q answers", who)
				}
				return nil
			})
		}
	}
}

// callRepeatedly calls the published port until stop is called, and notes who answers.
func callRepeatedly(m *machine.Machine, answers *sync.Map) (stop func()) {
	ended := make(chan struct{})
	var wait sync.WaitGroup
	for _, addr := range []string{machine.Host4, machine.Host6} {
		for _, proto := range []string{"tcp", "udp"} {
			for range 4 {
				wait.Go(func() {
					for {
						select {
						case <-ended:
							return
						default:
							answers.Store(proto+addr+whoAnswers(m, proto, addr, silence), true)
						}
					}
				})
			}
		}
	}
	return func() { close(ended); wait.Wait() }
}

// whoAnswers calls the published port from a port that the kernel chooses.
func whoAnswers(m *machine.Machine, proto, addr string, patience time.Duration) string {
	c, err := dialFrom(m, proto, addr, 8444, 0, patience)
	if err != nil {
		return "none"
	}
	defer c.Close()
	who, _ := whoSpeaks(c, patience)
	return who
}
