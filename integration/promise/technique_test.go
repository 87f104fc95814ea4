package promise

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A technique is one way out, and its destinations. An empty destination means that the technique
// is not for that family.
type technique struct {
	name     string // in the attack program
	what     string // in the matrix; empty if it is the name
	to4, to6 string
	how      string // used by children alone, in place of a plain child
	exec     bool   // changes the process for good: only from a child or an exec'd process
	public   bool   // the frame's address means nothing, so any frame counts
	kernel   bool   // the kernel sends it, and no process: the control is the same without rules
	door     bool   // it opens something that the capture can't see, so it must be refused
	optional bool   // not every kernel has it
	untold   bool   // the result of its calls differs from kernel to kernel
	root     bool   // the ambassador has no more rights than a member: the control is root there
}

// A member is one way in which a member of the group carries out an order.
type member struct {
	name string
	do   func(attackOrder) (outcome, error)
	how  string // self, child or orphan
}

// A try is one attempt of a member.
type try struct {
	who string
	o   outcome
	err error
}

// An outboundTest is the setup of the tests of outbound techniques: a group of attackers, a second
// one with an init among its members, and the capture of what comes out of both.
type outboundTest struct {
	*machine.Machine
	ns      netns.NsHandle
	early   netns.NsHandle
	seen    *machine.Capture
	members []member
}

func newOutboundTest(t testing.TB) *outboundTest {
	t.Helper()
	m := machine.New(t, "")
	m.Apply("g.hcl", fmt.Sprintf(pinging(attackers), machine.AttackImage))
	applyEarly(m)
	r := &outboundTest{Machine: m, ns: m.Netns("g"), early: m.Netns("early"), seen: machine.NewCapture(t, m.Host)}
	by := func(ns netns.NsHandle, port int) func(attackOrder) (outcome, error) {
		return func(what attackOrder) (outcome, error) { return tryAsk(ns, port, what) }
	}
	r.members = []member{
		{"app", by(r.ns, 7001), "self"}, {"child", by(r.ns, 7001), "child"}, {"double fork", by(r.ns, 7001), "orphan"},
		{"sidecar", by(r.ns, 7002), "self"}, {"init", by(r.early, 7004), "self"},
		{"exec'd shell", func(what attackOrder) (outcome, error) { return execAttack(m, what) }, "child"},
	}
	return r
}

// applyEarly returns when the init runs. An apply would wait for its end, so the file is put into
// the folder by hand.
func applyEarly(m *machine.Machine) {
	m.T.Helper()
	if err := os.WriteFile(filepath.Join(m.Groups, "early.hcl"), fmt.Appendf(nil, pinging(early), machine.AttackImage), 0o600); err != nil {
		m.T.Fatal(err)
	}
	machine.Eventually(m.T, time.Minute, "the init of early runs", func() error {
		out, err := m.Try("status", "early", "--json")
		var g group.Status
		if err := cmp.Or(err, json.Unmarshal([]byte(out), &g)); err != nil {
			return err
		}
		for _, c := range g.Containers {
			if c.Name == "init" && c.Task == host.TaskRunning {
				return nil
			}
		}
		return errors.New(out)
	})
}

// try makes each attempt from every kind of member, and then as its control. The capture is the
// judge.
func (r *outboundTest) try(s *section, techniques []technique) {
	r.T.Helper()
	for _, x := range techniques {
		for _, to := range []string{x.to4, x.to6} {
			if to == "" {
				continue
			}
			r.seen.Take(r.T, machine.AnyFrame)
			tries := r.all(x, to, 0)
			out := r.seen.Take(r.T, machine.AnyFrame)
			for _, y := range tries {
				if len(out) > 0 { // by whom?
					r.one(x, to, y.who)
					s.add(x.row(to, y, r.seen.Take(r.T, machine.AnyFrame)), out)
					continue
				}
				s.add(x.row(to, y, nil), y.o.Error, y.err)
			}
			if !x.kernel {
				r.control(s, x, to)
			}
		}
	}
}

// all makes the attempt from every member at the same time. The port is that of the order.
func (r *outboundTest) all(x technique, to string, port int) []try {
	var who []member
	for _, m := range r.members {
		if m.how == "self" && (x.exec || x.how != "") || m.how == "orphan" && x.how != "" {
			continue
		}
		who = append(who, m)
	}
	tries := make([]try, len(who))
	var wait sync.WaitGroup
	for i, m := range who {
		wait.Go(func() { tries[i] = m.try(x, to, port) })
	}
	wait.Wait()
	return tries
}

func (r *outboundTest) one(x technique, to, who string) {
	for _, m := range r.members {
		if m.name == who {
			m.try(x, to, 0)
		}
	}
}

func (m member) try(x technique, to string, port int) try {
	how := m.how
	if x.how != "" {
		how = x.how
	}
	o, err := m.do(attackOrder{how: how, technique: x.name, to: to, port: port})
	return try{m.name, o, err}
}

// row judges an attempt of a member by the frames that came out.
func (x technique) row(to string, y try, out []machine.Frame) row {
	r := row{technique: x.title(), family: family(to), who: y.who, expected: nothing, seen: nothing, told: y.o.told()}
	if x.untold {
		r.told = ""
	}
	switch {
	case y.err != nil:
		r.seen = "the attacker failed"
	case len(out) > 0:
		r.seen = frames
	case y.o.Reply != "":
		r.seen = answered
	case x.door && y.o.told() != "refused":
		r.seen = "opened"
	}
	return r
}

func (x technique) title() string { return cmp.Or(x.what, x.name) }

// control checks that the technique is seen when the ambassador uses it. Where the ambassador lacks
// the right, root there uses it.
func (r *outboundTest) control(s *section, x technique, to string) {
	r.T.Helper()
	who, what := "the ambassador", attackOrder{how: "child", technique: x.name, to: to}
	if x.how != "" {
		what.how = x.how
	}
	var o outcome
	if x.root {
		who = "root there"
		o = asRoot(r.Machine, r.ns, what)
	} else {
		o = ask(r.T, r.ns, 7003, what)
	}
	out := r.seen.Take(r.T, x.keep(to))
	machine.MustInNetns(r.T, r.ns, machine.ForgetQuestions) // else the next row sees that they are asked again
	seen := len(out) > 0 || x.door && o.Error == ""
	if !seen && !(x.optional && o.lacking()) {
		r.T.Errorf("the control of %s over %s was not seen either, so that row proves nothing: %s", x.name, family(to), o.Error)
	}
	if x.optional {
		who += ifThere
	}
	s.control(x.title(), family(to), who)
}

func (x technique) keep(addr string) func(machine.Frame) bool {
	if x.public {
		return machine.AnyFrame
	}
	return machine.To(addr)
}
