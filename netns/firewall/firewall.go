// Package firewall finds other firewalls of the host that drop the groups' packets, and the
// commands that change it.
//
// The groups' packets are forwarded, so every base chain of the host's forward hook must let them
// pass. An accept in our table can't overrule a drop in another one. The other firewall's own rules
// must therefore accept what comes from the groups' links and what goes to them.
//
// Pitfall: this package only reads. A rule that we put into another firewall's chain would
// vanish when that firewall reloads its rules. Only its owner can make a rule last.
package firewall

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// A Verdict is how the host's other firewalls treat forwarded packets. The zero value means that
// none of them drops any.
type Verdict struct {
	// Blocking lists the chains that drop the groups' packets, such as "chain FORWARD of table ip
	// filter".
	Blocking []string
	// Remedies are sentences with the command that lets the groups' packets pass: sorted, each
	// once.
	Remedies []string
	// Passing reports whether another firewall drops forwarded packets and lets the groups' pass.
	Passing bool
	// Legacy reports whether iptables-legacy has a filter table. Its rules are not in nftables, so
	// they are not checked.
	Legacy bool
}

// Check reads the rules of all tables that see forwarded packets, except ownTable.
func Check(ownTable string) (Verdict, error) {
	firewalls, err := read(ownTable)
	if err != nil {
		return Verdict{}, fmt.Errorf("read the host's firewall: %w", err)
	}
	var v Verdict
	for _, f := range firewalls {
		switch {
		case !f.drops():
		case f.letsLinksPass():
			v.Passing = true
		default:
			v.Blocking = append(v.Blocking, "chain "+f.base.Name+" of table "+f.table())
			v.Remedies = append(v.Remedies, f.remedy())
		}
	}
	slices.Sort(v.Remedies)
	v.Remedies = slices.Compact(v.Remedies)
	legacy, _ := os.ReadFile("/proc/net/ip_tables_names")
	v.Legacy = strings.Contains(string(legacy), "filter")
	return v, nil
}

// A firewall is a base chain of the forward hook, with its table.
type firewall struct {
	base   *nftables.Chain
	chains []string                    // all chains of the table
	rules  map[string][]*nftables.Rule // by chain
}

func read(ownTable string) ([]firewall, error) {
	conn, err := ruleset.Open(0)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return ruleset.Read(conn, func(ruleset.Generation) ([]firewall, error) { return readAll(conn, ownTable) })
}

func readAll(conn *ruleset.Conn, ownTable string) ([]firewall, error) {
	chains, err := conn.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", err)
	}
	var out []firewall
	for _, base := range chains {
		if base.Table.Name == ownTable || base.Hooknum == nil || *base.Hooknum != *nftables.ChainHookForward || !routes(base.Table.Family) {
			continue
		}
		f := firewall{base: base, rules: map[string][]*nftables.Rule{}}
		for _, c := range chains {
			if c.Table.Name != base.Table.Name || c.Table.Family != base.Table.Family {
				continue
			}
			rules, err := conn.GetRules(c.Table, c)
			if err != nil {
				return nil, fmt.Errorf("list rules of chain %s: %w", c.Name, err)
			}
			f.chains, f.rules[c.Name] = append(f.chains, c.Name), rules
		}
		out = append(out, f)
	}
	return out, nil
}

// routes reports whether a family's hooks see routed packets. The hooks of bridges and devices have
// the same numbers.
func routes(f nftables.TableFamily) bool {
	return f == nftables.TableFamilyINet || f == nftables.TableFamilyIPv4 || f == nftables.TableFamilyIPv6
}

var familyNames = map[nftables.TableFamily]string{
	nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6",
}

// table returns the table's family and name, as the nft command writes them.
func (f firewall) table() string { return familyNames[f.base.Table.Family] + " " + f.base.Table.Name }

// drops reports whether the chain drops or rejects packets that none of its rules accepts.
func (f firewall) drops() bool {
	if f.base.Policy != nil && *f.base.Policy == nftables.ChainPolicyDrop {
		return true
	}
	return slices.ContainsFunc(f.rules[f.base.Name], func(r *nftables.Rule) bool {
		return len(conditions(r)) == 0 && refuses(r)
	})
}

// letsLinksPass reports whether rules of the table accept packets from our links and packets to
// them. firewalld needs only the first: a zone's accepted packets may go anywhere, and firewalld
// accepts by itself what goes to published ports.
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

// conditions returns the expressions of a rule that decide whether it matches a packet.
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

// linkCondition returns the direction of a rule whose only condition is the name of our links, as
// in iifname "sp-*". It returns false for every other rule.
func linkCondition(r *nftables.Rule) (expr.MetaKey, bool) {
	c := conditions(r)
	if len(c) != 2 {
		return 0, false
	}
	meta, isMeta := c[0].(*expr.Meta)
	equal, isCmp := c[1].(*expr.Cmp)
	if !isMeta || !isCmp || equal.Op != expr.CmpOpEq || !bytes.Equal(equal.Data, []byte(netns.LinkPrefix)) {
		return 0, false
	}
	return meta.Key, true
}

func (f firewall) isFirewalld() bool { return f.base.Table.Name == "firewalld" }

// remedy returns the command that lets the groups' packets pass. It guesses the program that owns
// the table from the names of the table and its chains.
func (f firewall) remedy() string {
	const prefix = netns.LinkPrefix
	iptables := "iptables"
	if f.base.Table.Family == nftables.TableFamilyIPv6 {
		iptables = "ip6tables"
	}
	insert := func(chain string) string {
		return fmt.Sprintf("for d in i o; do %s -I %s -$d %s+ -j ACCEPT; done", iptables, chain, prefix)
	}
	switch {
	case slices.Contains(f.chains, "DOCKER-USER"):
		return "let the groups' links pass docker's rules, and again after each boot: " + insert("DOCKER-USER")
	case slices.ContainsFunc(f.chains, func(c string) bool { return strings.HasPrefix(c, "ufw") }):
		return fmt.Sprintf("let the groups' links pass ufw: ufw route allow in on %[1]s+ && ufw route allow out on %[1]s+", prefix)
	case f.isFirewalld():
		return fmt.Sprintf("let the groups' links pass firewalld: "+
			"firewall-cmd --permanent --zone=trusted --add-interface=%s+ && firewall-cmd --reload", prefix)
	case f.base.Name == "FORWARD" && f.base.Table.Name == "filter":
		return "let the groups' links pass, and again after each boot: " + insert("FORWARD")
	}
	rule := fmt.Sprintf("nft insert rule %s %s", f.table(), f.base.Name)
	return fmt.Sprintf("let the groups' links pass, here and where that table is made: "+
		"%[1]s iifname '\"%[2]s*\"' accept; %[1]s oifname '\"%[2]s*\"' accept", rule, prefix)
}
