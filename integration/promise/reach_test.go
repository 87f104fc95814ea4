package promise

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/host"
)

const reachTitle = "6. The host, other groups, metadata and name servers"

const neighbour = `
group "other" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "listen", "7444"]
    publish "held" {
      host = 8500
      port = 7444
    }
    publish "held-udp" {
      host     = 8500
      port     = 7444
      protocol = "udp"
    }
  }
}
`

// favoured is allowed two things that other groups aren't: the neighbour's published port, and
// metadata.
const favoured = `
group "favoured" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003"]
    allow = [
      "192.0.2.1:8500/tcp", "192.0.2.1:8500/udp", "[2001:db8:1::1]:8500/tcp", "[2001:db8:1::1]:8500/udp",
      "169.254.169.254:80/tcp", "168.63.129.16:80/tcp", "100.100.100.200:80/tcp", "192.0.0.192:80/tcp",
      "[fd00:ec2::254]:80/tcp", "[fd20:ce::254]:80/tcp",
      "[64:ff9b::a9fe:a9fe]:80/tcp", "[64:ff9b::a83f:8110]:80/tcp",
    ]
  }
}
`

// quiet has an ambassador that calls nowhere. It answers at a published port.
const quiet = `
group "quiet" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "listen", "9000"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "serve", "127.0.0.1:7003", "7444"]
    allow   = []
    publish "held" {
      host = 8600
      port = 7444
    }
    publish "held-udp" {
      host     = 8600
      port     = 7444
      protocol = "udp"
    }
  }
}
`

// The metadata services of AWS, Azure, Alibaba, Oracle and Google, and two of them by NAT64.
var (
	metadata4  = []string{"169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"}
	metadata6  = []string{"fd00:ec2::254", "fd20:ce::254"}
	metadata64 = []string{"64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110"}
)

const callsNowhere = "an ambassador that calls nowhere"

// A place is an address that members, and some ambassadors, don't reach.
type place struct {
	what     string
	addrs    []string
	port     int
	protos   []string
	door     string         // the result for an ambassador
	favoured string         // the result for an ambassador whose allow list has only the favoured places
	from     netns.NsHandle // a namespace that reaches it, if no ambassador does
	who      string         // the name of that
}

// TestPromiseReach is class 6: places that neither a member nor the ambassador reaches, and places
// that only the ambassador does.
func TestPromiseReach(t *testing.T) {
	m := machine.New(t, "")
	for _, text := range []string{attackers, neighbour, favoured, quiet} {
		text = fmt.Sprintf(text, machine.AttackImage)
		m.Apply(strings.Fields(text)[1][1:3]+".hcl", text)
	}
	metadataService(t, m)
	machine.MustInNetns(t, m.Host, func() error { return machine.ServeEcho(t, ":81") })
	machine.MustInNetns(t, m.Host, func() error { return machine.ServeEchoPackets(t, machine.Host4+":81", "["+machine.Host6+"]:81") })
	m.Echo(t, 53)
	both, tcp, others := []string{"tcp", "udp"}, []string{"tcp"}, m.Status("other").Addrs
	s := newSection(t, reachTitle)
	tryPlaces(m, s, []place{
		{what: "a service of the remote host", addrs: []string{machine.Remote4, machine.Remote6}, port: machine.RemotePort, protos: both, door: answered, favoured: silent},
		{what: "a name server", addrs: []string{machine.Remote4, machine.Remote6}, port: 53, protos: both, door: answered, favoured: silent},
		{what: "a service of the host", addrs: []string{machine.Host4, machine.Host6}, port: 81, protos: both, door: silent, favoured: silent, from: m.Remote, who: "the remote host"},
		{what: "metadata", addrs: slices.Concat(metadata4, metadata6), port: 80, protos: tcp, door: silent, favoured: answered},
		{what: "metadata by NAT64", addrs: metadata64, port: 80, protos: tcp, door: silent, favoured: answered},
		{what: "another group's published port", addrs: []string{machine.Host4, machine.Host6}, port: 8500, protos: both, door: silent, favoured: answered},
		{what: "another group's ambassador", addrs: others, port: 7444, protos: both, door: silent, favoured: silent, from: m.Netns("other"), who: "its own group"},
		{what: "another group's app", addrs: others, port: 9000, protos: both, door: silent, favoured: silent, from: m.Netns("other"), who: "its own group"},
	})
	callQuiet(m, s)
	destination := netip.AddrPortFrom(netip.MustParseAddr(machine.Remote4), machine.RemotePort)
	expectDenied(m, "quiet", "amb", "tcp", destination)
}

// callQuiet calls the published port of the ambassador that calls nowhere.
func callQuiet(m *machine.Machine, s *section) {
	for _, proto := range []string{"tcp", "udp"} {
		for _, addr := range []string{machine.Host4, machine.Host6} {
			r := row{technique: proto + " to the published port of an ambassador that calls nowhere", family: family(addr), who: "the remote host", expected: answered, seen: silent}
			if untilAnswered(answered, func() error {
				if !machine.Reached(m.T, m.Remote, proto, addr, 8600) {
					return errUnanswered
				}
				return nil
			}) == nil {
				r.seen = answered
			}
			s.add(r)
		}
	}
}

// expectDenied waits until a container's denial at a destination is reported.
func expectDenied(m *machine.Machine, group, container, protocol string, to netip.AddrPort) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "the denial is reported", func() error {
		for dec := json.NewDecoder(strings.NewReader(m.Run("denials", "--json", group))); dec.More(); {
			var d host.Denial
			if err := dec.Decode(&d); err != nil {
				m.T.Fatal(err)
			}
			if d.Container == container && d.Protocol == protocol && d.Destination == to {
				return nil
			}
		}
		return fmt.Errorf("no denial of %s.%s by %s to %s", group, container, protocol, to)
	})
}

// tryPlaces tries every place from everywhere. The members come first, and then the ambassador that
// calls nowhere: the capture must see nothing of them.
func tryPlaces(m *machine.Machine, s *section, places []place) {
	m.T.Helper()
	seen, g, favoured, quiet := machine.NewCapture(m.T, m.Host), m.Netns("g"), m.Netns("favoured"), m.Netns("quiet")
	seen.Take(m.T, machine.AnyFrame)
	for _, by := range []struct {
		who      string
		ns       netns.NsHandle
		port     int
		expected func(place) string
	}{
		{"a member", g, 7001, func(place) string { return silent }},
		{callsNowhere, quiet, 7003, func(place) string { return silent }},
		{"the ambassador", g, 7003, func(p place) string { return p.door }},
		{"an ambassador with an allow list", favoured, 7003, func(p place) string { return p.favoured }},
	} {
		forEachPlace(m, places, func(p place, proto, addr string) func() {
			var o outcome
			err := untilAnswered(by.expected(p), func() (err error) {
				if o, err = tryAsk(by.ns, by.port, attackOrder{"self", proto, addr, p.port}); err == nil && o.Reply == "" {
					err = errUnanswered
				}
				return err
			})
			r := row{technique: proto + " to " + p.what, family: family(addr), who: by.who, expected: by.expected(p), seen: silent, told: o.told()}
			if o.Reply != "" {
				r.seen = answered
			}
			if r.expected == silent {
				r.control = "the one who is answered"
			}
			return func() { s.add(r, o.Error, err) }
		})
		if out := seen.Take(m.T, machine.AnyFrame); (by.who == "a member" || by.who == callsNowhere) && len(out) > 0 {
			m.T.Errorf("something of %s came out: %v", by.who, out)
		}
	}
	forEachPlace(m, places, func(p place, proto, addr string) func() {
		if p.who == "" {
			return func() {}
		}
		ok := untilAnswered(answered, func() error {
			if !machine.Reached(m.T, p.from, proto, addr, p.port) {
				return errUnanswered
			}
			return nil
		}) == nil
		return func() {
			r := row{technique: proto + " to " + p.what, family: family(addr), who: p.who, expected: answered, seen: silent}
			if ok {
				r.seen = answered
			}
			s.add(r)
		}
	})
}

// errUnanswered is the error of an attempt that got no answer.
var errUnanswered = errors.New("no answer")

// untilAnswered makes an attempt again while it is not answered, for a minute, if an answer is
// expected: on a busy machine one may come too late. If none is expected, one attempt is made.
func untilAnswered(expected string, attempt func() error) error {
	if expected == answered {
		return machine.Retry(time.Minute, attempt)
	}
	return attempt()
}

// forEachPlace calls do for every place at the same time. Then it calls what they returned, in
// order.
func forEachPlace(m *machine.Machine, places []place, do func(p place, proto, addr string) func()) {
	var then []*func()
	var wait sync.WaitGroup
	for _, p := range places {
		for _, proto := range p.protos {
			for _, addr := range p.addrs {
				after := new(func())
				then = append(then, after)
				wait.Go(func() { *after = do(p, proto, addr) })
			}
		}
	}
	wait.Wait()
	for _, after := range then {
		(*after)()
	}
}

// metadataService makes the remote host answer on the metadata addresses, so that only the rules
// keep them closed.
func metadataService(t testing.TB, m *machine.Machine) {
	t.Helper()
	for _, a := range slices.Concat(metadata4, metadata6, metadata64) {
		one, by := a+"/32", "192.0.2.2"
		if family(a) == "v6" {
			one, by = a+"/128", "2001:db8:1::2"
		}
		machine.MustInNetns(t, m.Remote, func() error { return machine.OwnAddress(one) })
		machine.MustInNetns(t, m.Host, func() error { return machine.AddRoute(one, by) })
		machine.Eventually(t, time.Minute, "the test's own metadata service answers the host", func() error {
			if !machine.Reached(t, m.Host, "tcp", a, machine.RemotePort) {
				return fmt.Errorf("no answer from %s", a)
			}
			return nil
		})
	}
}
