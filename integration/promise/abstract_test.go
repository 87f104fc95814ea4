package promise

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

const abstractTitle = "9. A socket handed over by an abstract name"

// whereSeparated marks rows that hold on kernels that can separate. MATRIX.md has the footnote.
const whereSeparated = "²"

// handovers is a group in which everyone waits for callers at abstract unix sockets.
const handovers = `
group "g" {
  app "app" {
    image   = "%[1]s"
    command = ["/attack", "offer", "100"]
  }
  sidecar "side" {
    image   = "%[1]s"
    command = ["/attack", "offer", "200"]
  }
  ambassador "amb" {
    image   = "%[1]s"
    command = ["/attack", "offer", "300"]
  }
}
`

// TestPromiseAbstract has members and the ambassador call each other at abstract unix sockets, hand
// over UDP sockets, and send by what they are given. The control is the same by two members. On a
// kernel that can't separate the two, doctor has to say so, and the sockets of the ambassador are
// seen to send: so a row can fail.
func TestPromiseAbstract(t *testing.T) {
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(handovers, machine.AttackImage))
	separated := separates(m)
	names := map[string]map[string]int{"app": abstractNames(m, "app", 100), "side": abstractNames(m, "side", 200), "amb": abstractNames(m, "amb", 300)}
	seen, s := machine.NewCapture(t, m.Host), newSection(t, abstractTitle)
	for _, kind := range []string{"stream", "seqpacket", "dgram"} {
		for _, auto := range []string{"", ", name chosen by the kernel"} {
			title := kind + auto
			call := func(from, to string) outcome { return callAbstract(m, from, kind, names[to][title]) }
			for _, x := range []struct{ who, from, to string }{{"app to the ambassador", "app", "amb"}, {"the ambassador to the app", "amb", "app"}} {
				seen.Take(t, machine.AnyFrame)
				o := call(x.from, x.to)
				out := seen.Take(t, machine.AnyFrame)
				r := technique{name: title, door: true}.row(nowhere, try{who: x.who, o: o}, out)
				if !separated {
					// A member's own datagram socket, used by the ambassador, is still a member's.
					if (len(out) == 0) != (kind == "dgram" && x.from == "app") || o.Error != "" {
						t.Errorf("%s, %s: doctor says that they reach each other: %d packets, %q", title, x.who, len(out), o.Error)
					}
					r.seen, r.told = nothing, "refused"
				}
				s.add(r, out)
			}
			if o := call("app", "side"); o.Error != "" {
				t.Errorf("the control of %s does not get through either, so its rows prove nothing: %s", title, o.Error)
			}
			s.control(title, "", "two members"+whereSeparated)
		}
	}
}

// separates reports what doctor says of this kernel.
func separates(m *machine.Machine) bool {
	m.T.Helper()
	out, _ := m.Try("doctor", "--json") // it may have failed for another reason
	var checks []struct {
		Name     string
		OK, Note bool
	}
	if err := json.Unmarshal([]byte(out), &checks); err != nil {
		m.T.Fatalf("doctor: %v: %s", err, out)
	}
	for _, c := range checks {
		if c.Name == "abstract sockets" && c.OK {
			return !c.Note
		}
	}
	m.T.Fatalf("doctor says nothing of abstract sockets: %s", out)
	return false
}

var autobound = regexp.MustCompile(`autobound (\w+) (\d+)`)

// abstractNames returns the numbers of a container's names by the title of their rows.
func abstractNames(m *machine.Machine, container string, first int) map[string]int {
	m.T.Helper()
	names := map[string]int{"stream": first, "seqpacket": first + 1, "dgram": first + 2}
	machine.Eventually(m.T, time.Minute, container+" waits for callers", func() error {
		out := m.Run("logs", "g."+container)
		if err := machine.Contains(out, "offering from"); err != nil {
			return err
		}
		for _, found := range autobound.FindAllStringSubmatch(out, -1) {
			number, err := strconv.Atoi(found[2])
			if err != nil {
				return err
			}
			names[found[1]+", name chosen by the kernel"] = number
		}
		if len(names) != 6 {
			return errors.New(out)
		}
		return nil
	})
	return names
}

func callAbstract(m *machine.Machine, from, kind string, name int) (o outcome) {
	m.T.Helper()
	out := m.Run("exec", "g."+from, "--", "/attack", "try", "abstract-"+kind, machine.Remote4, fmt.Sprint(name))
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		m.T.Fatalf("%s: %v", out, err)
	}
	return o
}
