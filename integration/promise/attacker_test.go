package promise

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
)

// attackers is a group of three attackers that carry out orders: the app on port 7001, a sidecar on
// 7002, and the ambassador on 7003.
const attackers = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
    device "/dev/hwrng" {
      to       = "/dev/given"
      optional = true
    }
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7002"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
  }
}
`

// early is a group that is still starting. Its init carries out orders on port 7004, and ends only
// with the test.
const early = `
group "early" {
  init "init" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7004"]
    stop    { signal = "SIGKILL" }
  }
  app "app" {
    image   = "%[1]s"
    command = ["sleep", "1000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["sleep", "1000"]
    stop    { signal = "SIGKILL" }
  }
}
`

// pinging returns a group file whose ambassadors may ping.
func pinging(file string) string {
	const door = `ambassador "amb" {`
	return strings.ReplaceAll(file, door, door+`
    sysctls = { "net.ipv4.ping_group_range" = "0 2147483647" }`)
}

// An outcome is one attempt, as the attacker saw it.
type outcome struct {
	Technique string  `json:"technique"`
	Error     string  `json:"error"`
	Micros    float64 `json:"micros"`
	Reply     string  `json:"reply"`
}

// told returns what the attacker's system calls returned, in the words of the matrix.
func (o outcome) told() string {
	switch {
	case o.Reply != "":
		return answered
	case o.Error == "":
		return "taken"
	case o.fails(unix.EINPROGRESS, unix.EAGAIN, unix.ETIMEDOUT):
		return silent
	}
	return "refused"
}

func (o outcome) fails(with ...error) bool {
	for _, e := range with {
		if strings.Contains(o.Error, e.Error()) {
			return true
		}
	}
	return false
}

// lacking reports whether this kernel doesn't have what the attempt needs, for any process.
func (o outcome) lacking() bool {
	return o.fails(unix.EPROTONOSUPPORT, unix.ESOCKTNOSUPPORT, unix.EAFNOSUPPORT, unix.ENOPROTOOPT, unix.ENOSYS, unix.ENOEXEC, unix.ENOENT, unix.ENODEV)
}

// nowhere stands for the address in techniques that have no destination.
const nowhere = "-"

// An attackOrder is an instruction for an attacker. Port 0 means RemotePort.
type attackOrder struct {
	how       string // self, child, orphan, child386
	technique string
	to        string
	port      int // or a process
}

func (o attackOrder) args() []string {
	if o.port == 0 {
		o.port = machine.RemotePort
	}
	return []string{o.technique, o.to, fmt.Sprint(o.port)}
}

// ask lets an attacker carry out an order. It talks to it over the group's loopback.
func ask(t testing.TB, ns netns.NsHandle, port int, what attackOrder) outcome {
	t.Helper()
	o, err := tryAsk(ns, port, what)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func tryAsk(ns netns.NsHandle, port int, what attackOrder) (o outcome, err error) {
	err = machine.Retry(time.Minute, func() error {
		var c net.Conn
		if err := machine.InNetns(ns, func() (err error) {
			c, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 20*time.Second)
			return err
		}); err != nil {
			return err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintln(c, what.how, strings.Join(what.args(), " "))
		var answer bytes.Buffer
		if _, err := answer.ReadFrom(c); err != nil {
			return err
		}
		return json.Unmarshal(answer.Bytes(), &o)
	})
	if err != nil {
		return o, fmt.Errorf("the attacker on %d, asked for %v: %w", port, what, err)
	}
	return o, nil
}

// execAttack carries out an order in a shell that is exec'd into the app.
func execAttack(m *machine.Machine, what attackOrder) (o outcome, err error) {
	program := "/attack"
	if what.how == "child386" {
		program = "/attack386"
	}
	out, err := m.Try("exec", "g.app", "--", "/bin/sh", "-c", program+" try "+strings.Join(what.args(), " "))
	if err != nil && what.how == "child386" {
		return outcome{Technique: what.technique, Error: err.Error()}, nil // killed, or not run at all
	}
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal([]byte(out), &o)
}

// asRoot carries out an order with every right, in the ambassador's cgroup, in the group's network
// namespace.
func asRoot(m *machine.Machine, ns netns.NsHandle, what attackOrder) outcome {
	m.T.Helper()
	dir, err := os.Open(m.CgroupV2("g/ambassador/amb/leaf"))
	if err != nil {
		m.T.Fatal(err)
	}
	defer dir.Close()
	program := machine.AttackBinary
	if what.how == "child386" {
		program = machine.AttackBinary386
	}
	cmd := exec.Command(program, append([]string{"try"}, what.args()...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := machine.StartIn(ns, cmd); errors.Is(err, unix.ENOEXEC) {
		return outcome{Error: err.Error()}
	} else if err != nil {
		m.T.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		m.T.Fatalf("%v: %v: %s", what, err, &out)
	}
	var o outcome
	if err := json.Unmarshal(out.Bytes(), &o); err != nil {
		m.T.Fatal(err)
	}
	return o
}

func family(addr string) string {
	switch ip := net.ParseIP(addr); {
	case ip == nil:
		return ""
	case ip.To4() == nil:
		return "v6"
	}
	return "v4"
}
