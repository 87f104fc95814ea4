package hosttest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Network is the network of a Host. It implements [runner.Network].
type Network Host

func (n *Network) Groups(context.Context) ([]string, error) {
	h := (*Host)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("list networks"); f.err != nil {
		return nil, f.err
	}
	var names []string
	for group := range h.nets {
		names = append(names, group)
	}
	return names, nil
}

func (n *Network) Observe(_ context.Context, group string, want *spec.Group) host.NetState {
	h := (*Host)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	if want != nil {
		h.wanted[group] = want
	}
	h.rulesUnknown[group] = h.begin("observe network").err != nil
	if h.rulesUnknown[group] {
		return host.NetState{}
	}
	net := h.nets[group]
	if net == nil {
		net = &network{}
	}
	st := host.NetState{
		Pinned: presence(net.pinned), Namespace: presence(net.pinned && net.sealed), Rules: presence(net.policy != ""),
		Link: presence(net.link != ""),
	}
	if want != nil {
		st.Rules = presence(net.pinned && net.sealed && net.policy == policyOf(want) && maps.Equal(net.placed, h.places(want)))
		if want.Egress != spec.EgressNone {
			st.Link = presence(net.pinned && net.link == linkOf(want))
		}
	}
	if net.link != "" {
		st.Addrs = []string{"10.209.0.1"}
	}
	return st
}

func (n *Network) Seal(_ context.Context, group string) error {
	return (*Host)(n).change("seal", group, func(net *network) {
		if !net.pinned {
			h := (*Host)(n)
			h.pinned++
			*net = network{pinned: true, number: h.pinned}
		}
		net.sealed = true
	})
}

func (n *Network) Admit(_ context.Context, want *spec.Group) error {
	return (*Host)(n).change("admit", want.Name, func(net *network) {
		if !net.pinned || !net.sealed {
			(*Host)(n).violated(Ruled, "%s was admitted before everything was denied", want.Name)
		}
		net.policy, net.placed = policyOf(want), (*Host)(n).places(want)
		if want.Egress == spec.EgressNone {
			net.link = ""
		}
	})
}

func (n *Network) Connect(_ context.Context, want *spec.Group) error {
	return (*Host)(n).change("connect", want.Name, func(net *network) {
		if !net.pinned || !net.sealed || net.policy != policyOf(want) {
			(*Host)(n).violated(Ruled, "%s was connected before its rules were in force", want.Name)
		}
		if want.Egress == spec.EgressNone {
			(*Host)(n).violated(Contract, "%s was connected although it has no egress", want.Name)
		}
		net.link = linkOf(want)
	})
}

func (n *Network) Remove(_ context.Context, group string) error {
	h := (*Host)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin("disconnect")
	if f.err != nil && !f.after {
		return f.err
	}
	if h.rulesUnknown[group] {
		h.violated(Careful, "the network of %s was removed although it was unknown", group)
	}
	for id, c := range h.containers {
		if c.state.Group == group && c.state.Task == host.TaskRunning {
			h.violated(Ruled, "the network of %s was removed under it", id)
		}
	}
	delete(h.nets, group)
	delete(h.limits, group)
	return f.err
}

// places returns the containers that are to have a cgroup: those of the definition, and others as
// long as they exist. The caller holds mu.
func (h *Host) places(want *spec.Group) map[string]bool {
	names := map[string]bool{}
	for _, c := range want.Containers {
		names[c.Name] = true
	}
	for _, c := range h.containers {
		if c.state.Group == want.Name {
			names[c.state.Name] = true
		}
	}
	return names
}

// change does one idempotent operation on a group's network.
func (h *Host) change(operation, group string, do func(*network)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.begin(operation)
	if f.err != nil && !f.after {
		return f.err
	}
	net := h.nets[group]
	if net == nil {
		net = &network{}
		h.nets[group] = net
	}
	do(net)
	return f.err
}

// policyOf returns a group's policy in words.
func policyOf(g *spec.Group) string {
	a := g.Ambassador()
	switch {
	case g.Egress == spec.EgressDirect:
		return "all may leave"
	case g.Egress == spec.EgressNone || a == nil:
		return "none may leave"
	}
	policy := a.Name + " may leave"
	if a.Allow != nil {
		var to []string
		for _, d := range a.Allow {
			to = append(to, fmt.Sprintf("%s port %d/%s", d.Prefix, d.Port, d.Protocol))
		}
		policy += " to [" + strings.Join(to, ", ") + "]"
	}
	if a.Quota != 0 {
		policy += fmt.Sprintf(", for %d bytes", a.Quota)
	}
	if a.Intercept != 0 {
		policy += fmt.Sprintf(", members are redirected to its port %d", a.Intercept)
	}
	if a.PingGroups != "" {
		policy += ", groups " + a.PingGroups + " of it may ping"
	}
	return policy
}

// linkOf returns the settings of a group's link in words.
func linkOf(g *spec.Group) string {
	link := "up"
	a := g.Ambassador()
	if a == nil {
		return link
	}
	var ports []string
	for _, p := range a.Publish {
		ports = append(ports, fmt.Sprintf("%s:%s to %s/%s", p.Address, p.HostText(), p.PortText(), p.Protocol))
	}
	if len(ports) > 0 {
		slices.Sort(ports)
		link += ", published " + strings.Join(ports, ", ")
	}
	if a.Rate != (spec.Rate{}) {
		link += ", at most " + a.Rate.String()
	}
	return link
}

func presence(there bool) host.Presence {
	if there {
		return host.Present
	}
	return host.Absent
}
