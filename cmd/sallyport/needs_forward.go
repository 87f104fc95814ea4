package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// The groups' packets are forwarded, and every base chain of the host's forward hook has to let them pass: an accept of ours
// can't overrule another firewall's drop. So its rules have to accept what comes from and goes to our links. We don't put them
// there: who owns the chains takes them away again at a time of his choosing, and knows how to keep them.

// linkPrefix is how the names of the groups' links begin.
const linkPrefix = "sp-"

// checkForwardPolicy looks for another firewall that drops what is forwarded. ours is the name of our own table.
func checkForwardPolicy(ours string) (string, error) {
	firewalls, err := readFirewalls(ours)
	if err != nil {
		return "", fmt.Errorf("read the host's firewall: %w", err)
	}
	var complaints, remedies []string
	open := false
	for _, f := range firewalls {
		switch {
		case !f.drops():
		case f.letsLinksPass():
			open = true
		default:
			complaints = append(complaints, "chain "+f.base.Name+" of table "+f.table())
			remedies = append(remedies, f.remedy())
		}
	}
	if len(complaints) > 0 {
		slices.Sort(remedies)
		return "", unmet(strings.Join(slices.Compact(remedies), "; "),
			"another firewall drops what is forwarded: %s", strings.Join(complaints, ", "))
	}
	found := "nobody drops what is forwarded"
	if open {
		found = "another firewall lets the groups' links pass"
	}
	if legacy, _ := os.ReadFile("/proc/net/ip_tables_names"); strings.Contains(string(legacy), "filter") {
		found += "; what iptables-legacy has is not looked at"
	}
	return found, nil
}

// warnOfForwardPolicy says in the log what doctor would.
func warnOfForwardPolicy(ours string, log *slog.Logger) {
	if _, err := checkForwardPolicy(ours); err != nil {
		log.Warn(err.Error(), "hint", hintOf(err))
	}
}

// A firewall is a base chain of the forward hook, and the table that it is in.
type firewall struct {
	base   *nftables.Chain
	chains []string                    // of the table
	rules  map[string][]*nftables.Rule // by chain
}

// readFirewalls reads every table that has a say in what is forwarded, but for our own.
func readFirewalls(ours string) ([]firewall, error) {
	conn, err := nftables.New()
	if err != nil {
		return nil, err
	}
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	var out []firewall
	for _, base := range chains {
		if base.Table.Name == ours || base.Hooknum == nil || *base.Hooknum != *nftables.ChainHookForward || !routes(base.Table.Family) {
			continue
		}
		f := firewall{base: base, rules: map[string][]*nftables.Rule{}}
		for _, c := range chains {
			if c.Table.Name != base.Table.Name || c.Table.Family != base.Table.Family {
				continue
			}
			rules, err := conn.GetRules(c.Table, c)
			if errors.Is(err, os.ErrNotExist) {
				continue // it went meanwhile
			}
			if err != nil {
				return nil, fmt.Errorf("list rules of chain %s: %w", c.Name, err)
			}
			f.chains, f.rules[c.Name] = append(f.chains, c.Name), rules
		}
		out = append(out, f)
	}
	return out, nil
}

// routes leaves out the hooks of bridges and devices, which have the same numbers.
func routes(f nftables.TableFamily) bool {
	return f == nftables.TableFamilyINet || f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyIPv6
}

var familyNames = map[nftables.TableFamily]string{
	nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
}

// table is its family and name, as the nft command has it.
func (f firewall) table() string { return familyNames[f.base.Table.Family] + " " + f.base.Table.Name }

// drops says that the chain drops or rejects what none of its rules accepts.
func (f firewall) drops() bool {
	if f.base.Policy != nil && *f.base.Policy == nftables.ChainPolicyDrop {
		return true
	}
	return slices.ContainsFunc(f.rules[f.base.Name], func(r *nftables.Rule) bool {
		return len(conditions(r)) == 0 && refuses(r)
	})
}

// letsLinksPass says that rules somewhere in the table accept what comes from our links and what goes to them. What a zone of
// firewalld accepts it lets go where it likes, and what is published it lets in by itself.
func (f firewall) letsLinksPass() bool {
	from, to := false, f.isFirewalld()
	for _, rules := range f.rules {
		for _, r := range rules {
			if refuses(r) {
				continue
			}
			key, ok := linkCondition(r)
			from = from || ok && key == expr.MetaKeyIIFNAME
			to = to || ok && key == expr.MetaKeyOIFNAME
		}
	}
	return from && to
}

// conditions are the parts of a rule that decide whether it is for a packet.
func conditions(r *nftables.Rule) (out []expr.Any) {
	for _, e := range r.Exprs {
		switch e.(type) {
		case *expr.Counter, *expr.Verdict, *expr.Reject, *expr.Log:
		default:
			out = append(out, e)
		}
	}
	return out
}

func refuses(r *nftables.Rule) bool {
	return slices.ContainsFunc(r.Exprs, func(e expr.Any) bool {
		if v, ok := e.(*expr.Verdict); ok {
			return v.Kind == expr.VerdictDrop
		}
		_, rejects := e.(*expr.Reject)
		return rejects
	})
}

// linkCondition says which way a rule is for that has no condition but the name of a link of ours: iifname "sp-*".
func linkCondition(r *nftables.Rule) (expr.MetaKey, bool) {
	c := conditions(r)
	if len(c) != 2 {
		return 0, false
	}
	meta, isMeta := c[0].(*expr.Meta)
	equal, isCmp := c[1].(*expr.Cmp)
	if !isMeta || !isCmp || equal.Op != expr.CmpOpEq || !bytes.Equal(equal.Data, []byte(linkPrefix)) {
		return 0, false
	}
	return meta.Key, true
}

func (f firewall) isFirewalld() bool { return f.base.Table.Name == "firewalld" }

// remedy is what to type, as whose firewall it seems to be wants it.
func (f firewall) remedy() string {
	iptables := "iptables"
	if f.base.Table.Family == nftables.TableFamilyIPv6 {
		iptables = "ip6tables"
	}
	insert := func(chain string) string {
		return fmt.Sprintf("for d in i o; do %s -I %s -$d %s+ -j ACCEPT; done", iptables, chain, linkPrefix)
	}
	switch {
	case slices.Contains(f.chains, "DOCKER-USER"):
		return "let the groups' links pass docker's rules, and again after each boot: " + insert("DOCKER-USER")
	case slices.ContainsFunc(f.chains, func(c string) bool { return strings.HasPrefix(c, "ufw") }):
		return fmt.Sprintf("let the groups' links pass ufw: ufw route allow in on %[1]s+ && ufw route allow out on %[1]s+", linkPrefix)
	case f.isFirewalld():
		return fmt.Sprintf("let the groups' links pass firewalld: firewall-cmd --permanent --zone=trusted --add-interface=%s+ && firewall-cmd --reload", linkPrefix)
	case f.base.Name == "FORWARD" && f.base.Table.Name == "filter":
		return "let the groups' links pass, and again after each boot: " + insert("FORWARD")
	}
	rule := fmt.Sprintf("nft insert rule %s %s", f.table(), f.base.Name)
	return fmt.Sprintf("let the groups' links pass, here and where that table is made: %[1]s iifname '\"%[2]s*\"' accept; %[1]s oifname '\"%[2]s*\"' accept", rule, linkPrefix)
}
