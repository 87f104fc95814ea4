package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/addrs"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/firewall"
	"github.com/sallyport/sallyport/netns/ruleset"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/network"
)

func checkNFTables(context.Context) (string, error) {
	conn, err := ruleset.Open(0)
	if err == nil {
		defer conn.Close()
		_, err = conn.Generation()
	}
	if err != nil {
		return "", unmet("as root: modprobe nf_tables", "the kernel's nftables don't answer: %w", err)
	}
	return "answers", nil
}

// checkForwarding checks that the host routes, or that routing can be switched on for the first
// group. record is the file with the links that are kept apart since then.
func checkForwarding(record string) (string, error) {
	strangers, err := uplink.ReadStrangers(record)
	if err != nil {
		return "", err
	}
	on := true
	for _, name := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		path := "/proc/sys/" + name
		value, err := os.ReadFile(path)
		if err != nil || strings.TrimSpace(string(value)) == "1" {
			continue // without the file this family is off, and there is nothing to forward
		}
		on = false
		if err := unix.Access(path, unix.W_OK); err != nil {
			key := strings.ReplaceAll(name, "/", ".")
			return "", unmet("sysctl -w "+key+"=1, where that is allowed", "%s is off and can't be switched on: %w", key, err)
		}
	}
	return forwardingText(on, strangers, record), nil
}

// forwardingText describes who turned forwarding on, and what the host forwards besides the packets
// of groups.
func forwardingText(on bool, strangers uplink.Strangers, record string) string {
	if !on {
		return "switched on for the first group that is connected; links that are there then don't reach each other through it"
	}
	links := map[string]bool{}
	for _, names := range strangers {
		for _, name := range names {
			links[name] = true
		}
	}
	if len(links) == 0 {
		return "on, and not by Sallyport: what the host forwards between its other links is up to its own rules"
	}
	return fmt.Sprintf("on since the first group; what is forwarded between %s is dropped until %s is removed",
		strings.Join(slices.Sorted(maps.Keys(links)), ", "), record)
}

// checkForwardPolicy looks for another firewall that drops forwarded packets.
func checkForwardPolicy(ownTable string) (string, error) {
	v, err := firewall.Check(ownTable)
	if err != nil {
		return "", err
	}
	return forwardPolicyText(v)
}

func forwardPolicyText(v firewall.Verdict) (string, error) {
	if len(v.Blocking) > 0 {
		return "", unmet(strings.Join(v.Remedies, "; "),
			"another firewall drops forwarded packets: %s", strings.Join(v.Blocking, ", "))
	}
	found := "no firewall drops forwarded packets"
	if v.Passing {
		found = "another firewall lets the groups' links pass"
	}
	if v.Legacy {
		found += "; rules of iptables-legacy are not checked"
	}
	return found, nil
}

// warnOfForwardPolicy logs the failure that doctor would print.
func warnOfForwardPolicy(ownTable string, log *slog.Logger) {
	if _, err := checkForwardPolicy(ownTable); err != nil {
		log.Warn(err.Error(), "hint", hintOf(err))
	}
}

// A selfTester returns what a self-test has found.
type selfTester func(context.Context) (egress.Verdict, error)

// selfTestOnce returns a selfTester that runs one self-test, at its first call.
func selfTestOnce(l layout.Layout) selfTester {
	var once sync.Once
	var v egress.Verdict
	var err error
	return func(ctx context.Context) (egress.Verdict, error) {
		once.Do(func() { v, err = selfTest(ctx, l) })
		return v, err
	}
}

// selfTest proves that the rules hold on this kernel.
func selfTest(ctx context.Context, l layout.Layout) (egress.Verdict, error) {
	network, err := network.New(network.Config{Layout: l})
	if err != nil {
		return egress.Verdict{}, err
	}
	return network.SelfTest(ctx)
}

func checkSelf(ctx context.Context, test selfTester) (string, error) {
	_, err := test(ctx)
	return "the ambassador gets through, members are refused", err
}

// checkAbstract finds out whether this kernel keeps abstract unix sockets of ambassador and members
// apart.
func checkAbstract(ctx context.Context, test selfTester) (string, error) {
	return checkVerdict(ctx, test, abstractText)
}

// checkRefusals finds out whether this kernel reports what the rules refuse.
func checkRefusals(ctx context.Context, test selfTester) (string, error) {
	return checkVerdict(ctx, test, refusalsText)
}

// checkVerdict returns what text has to say of the self-test's verdict.
func checkVerdict(ctx context.Context, test selfTester, text func(egress.Verdict) (string, error)) (string, error) {
	v, err := test(ctx)
	if err != nil {
		return "", &note{"not known: the self-test has failed", ""}
	}
	return text(v)
}

func refusalsText(v egress.Verdict) (string, error) {
	if v.Untold == nil {
		return "the kernel reports them", nil
	}
	return "", &note{
		"the kernel does not report them, so the daemon reads every group each second: " + v.Untold.Error(),
		"nothing is missed, and no denial is told later; it costs some 0.5 ms of CPU a second for each group",
	}
}

func abstractText(v egress.Verdict) (string, error) {
	if v.Joined == nil {
		return "ambassador and members don't reach each other over them", nil
	}
	return "", &note{
		"abstract unix sockets join ambassador and members, so each may hand its sockets to the other: " + v.Joined.Error(),
		"boot a kernel of 6.0 or later (arm64: 6.4) that has CONFIG_BPF_LSM and CONFIG_DEBUG_INFO_BTF, with bpf in lsm= on its command line; " +
			"/sys/kernel/security/lsm lists what is active",
	}
}

// checkPrefixes looks for routes of the host that overlap the addresses of the groups' links.
// A note names groups that have others.
func checkPrefixes(l layout.Layout) (string, error) {
	pool, err := addrs.New(l.Prefix4, l.Prefix6)
	if err != nil {
		return "", unmet("write --prefix4 as 10.209.0.0/16 and --prefix6 as fd5a:11e0:9027::/64", "%w", err)
	}
	routes, err := netns.Routes(network.LinkAliasPrefix)
	if err != nil {
		return "", err
	}
	if err := pool.CheckRoutes(routes); err != nil {
		return "", unmet("choose another with --prefix4 or --prefix6", "%w", err)
	}
	n, err := network.New(network.Config{Layout: l})
	if err != nil {
		return "", err
	}
	kept, err := n.KeepAddresses()
	if err != nil {
		return "", err
	}
	found := strings.Join([]string{l.Prefix4, l.Prefix6}, ", ")
	if len(kept) > 0 {
		return "", &note{text: found + ". Groups with addresses of an earlier pool: " + strings.Join(kept, ", "), hint: "they keep them until they are stopped and started: sallyport stop GROUP, then start"}
	}
	return found, nil
}
