package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Network is the network of a Host.
type Network Host

func (n *Network) Groups(context.Context) ([]string, error) {
	h := (*Host)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.began("list networks"); f.err != nil {
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
		h.wants[group] = want
	}
	h.unruled[group] = h.began("observe network").err != nil
	if h.unruled[group] {
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
		st.Rules = presence(net.pinned && net.sealed && net.policy == policyOf(want))
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
			h.pins++
			*net = network{pinned: true, number: h.pins}
		}
		net.sealed = true
	})
}

func (n *Network) Admit(_ context.Context, want *spec.Group) error {
	return (*Host)(n).change("admit", want.Name, func(net *network) {
		if !net.pinned || !net.sealed {
			(*Host)(n).violated(Ruled, "%s was admitted before everything was denied", want.Name)
		}
		net.policy = policyOf(want)
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
			(*Host)(n).violated(Contract, "%s was connected although nobody may leave", want.Name)
		}
		net.link = linkOf(want)
	})
}

func (n *Network) Remove(_ context.Context, group string) error {
	h := (*Host)(n)
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began("disconnect")
	if f.err != nil && !f.after {
		return f.err
	}
	if h.unruled[group] {
		h.violated(Careful, "the network of %s was removed although it could not be looked at", group)
	}
	for id, c := range h.containers {
		if c.state.Group == group && c.state.Task == host.TaskRunning {
			h.violated(Ruled, "the network of %s was removed under it", id)
		}
	}
	delete(h.nets, group)
	delete(h.bounds, group)
	return f.err
}

// change does one idempotent operation on a group's network.
func (h *Host) change(operation, group string, do func(*network)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.began(operation)
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

// policyOf is a group's policy in words.
func policyOf(g *spec.Group) string {
	a := g.Ambassador()
	switch {
	case g.Egress == spec.EgressDirect:
		return "everybody may leave"
	case g.Egress == spec.EgressNone || a == nil:
		return "nobody may leave"
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
		policy += fmt.Sprintf(", members are led to its port %d", a.Intercept)
	}
	return policy
}

// linkOf is a group's link in words.
func linkOf(g *spec.Group) string {
	link := "up"
	a := g.Ambassador()
	if a == nil {
		return link
	}
	var ports []string
	for _, p := range a.Publish {
		ports = append(ports, fmt.Sprintf("%s:%d to %d/%s", p.Address, p.Host, p.Port, p.Protocol))
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
