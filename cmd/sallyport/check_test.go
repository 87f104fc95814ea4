package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/firewall"
	"github.com/sallyport/sallyport/netns/uplink"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/layout"
)

func TestNewEnough(t *testing.T) {
	for release, want := range map[string]bool{
		"6.1.0-18-amd64": true, "5.16.0": true, "5.16": true, "5.15.19-generic": false, "4.19.0": false, "7.0-rc1": true, "custom": true,
	} {
		if got := newEnough(release); got != want {
			t.Errorf("newEnough(%q) = %v", release, got)
		}
	}
}

func TestCheckPrefixesRefuses(t *testing.T) {
	for _, c := range []struct{ name, prefix4, prefix6, want string }{
		{"no prefix", "10.209.0.0", "fd5a:11e0:9027::/64", "10.209.0.0"},
		{"bits behind the length", "10.209.0.0/16", "fd5a:11e0:9027::1/64", "fd5a:11e0:9027::1/64"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := checkPrefixes(layout.Layout{Prefix4: c.prefix4, Prefix6: c.prefix6})
			if err == nil || !strings.Contains(err.Error(), c.want) || hintOf(err) == "" {
				t.Errorf("got %v, want an error with %s and a hint", err, c.want)
			}
		})
	}
}

func TestForwardingText(t *testing.T) {
	kept := uplink.Strangers{"ipv4": {"eth1", "eth0"}, "ipv6": {"eth0"}}
	for _, c := range []struct {
		name      string
		on        bool
		strangers uplink.Strangers
		want      string
	}{
		{"off", false, nil, "switched on for the first group that is connected; links that are there then don't reach each other through it"},
		{"on before", true, nil, "on, and not by Sallyport: what the host forwards between its other links is up to its own rules"},
		{"on by us", true, kept, "on since the first group; what is forwarded between eth0, eth1 is dropped until /run/s/forwarding is removed"},
	} {
		if got := forwardingText(c.on, c.strangers, "/run/s/forwarding"); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func TestForwardPolicyText(t *testing.T) {
	for _, c := range []struct {
		name                string
		verdict             firewall.Verdict
		found, failed, hint string
	}{
		{"no firewall", firewall.Verdict{}, "no firewall drops forwarded packets", "", ""},
		{"one that lets ours pass", firewall.Verdict{Passing: true}, "another firewall lets the groups' links pass", "", ""},
		{"iptables-legacy", firewall.Verdict{Legacy: true}, "no firewall drops forwarded packets; rules of iptables-legacy are not checked", "", ""},
		{"two that block", firewall.Verdict{Blocking: []string{"chain a of table ip x", "chain b of table ip y"}, Remedies: []string{"type this", "type that"}, Passing: true},
			"", "another firewall drops forwarded packets: chain a of table ip x, chain b of table ip y", "type this; type that"},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := forwardPolicyText(c.verdict)
			failed := ""
			if err != nil {
				failed = err.Error()
			}
			if diff := cmp.Diff([]string{c.found, c.failed, c.hint}, []string{found, failed, hintOf(err)}); diff != "" {
				t.Errorf("found, error and hint (-want +got)\n%s", diff)
			}
		})
	}
}

func TestResult(t *testing.T) {
	ok := check{"runc", true, func(context.Context) (string, error) { return "1.1", nil }}
	failing := check{"kernel", true, func(context.Context) (string, error) { return "", unmet("boot another", "kernel %s\nis old", "4.9") }}
	optional := check{"shim", false, func(context.Context) (string, error) { return "", errors.New("gone") }}
	var out strings.Builder
	for _, c := range []check{ok, failing, optional} {
		writeResult(&out, c.result(t.Context()))
	}
	want := "ok    runc             1.1\n" +
		"FAIL  kernel           kernel 4.9; is old\n" +
		"                       -> boot another\n" +
		"FAIL  shim             gone\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if err := runRequired(t.Context(), []check{ok, optional}); err != nil {
		t.Errorf("an optional check stops the daemon: %v", err)
	}
	if problem, ok := errors.AsType[*hint.Error](runRequired(t.Context(), []check{ok, optional, failing})); !ok || problem.Hint != "boot another" {
		t.Errorf("the failed required check is not the daemon's error: %v", problem)
	}
}

// A kernel that can't separate abstract unix sockets is a note with its reason and what to do, on
// arm64 too.
func TestAbstractSockets(t *testing.T) {
	for _, x := range []struct {
		verdict egress.Verdict
		note    bool
		want    string
	}{
		{egress.Verdict{}, false, "don't reach each other"},
		{egress.Verdict{Joined: errors.New("no BTF")}, true, "no BTF"},
	} {
		c := check{name: "abstract sockets", run: func(context.Context) (string, error) { return abstractText(x.verdict) }}
		r := c.result(t.Context())
		if !r.OK || r.Note != x.note || strings.Contains(r.Hint, "arm64: 6.4") != x.note || !strings.Contains(r.Found, x.want) {
			t.Errorf("%+v: %+v", x, r)
		}
	}
}

// A kernel that does not report refusals is a note with its reason and what it costs.
func TestRefusals(t *testing.T) {
	for _, x := range []struct {
		verdict egress.Verdict
		note    bool
		want    string
	}{
		{egress.Verdict{}, false, "the kernel reports them"},
		{egress.Verdict{Untold: errors.New("no quotas")}, true, "every group each second: no quotas"},
	} {
		test := func(context.Context) (egress.Verdict, error) { return x.verdict, nil }
		c := check{name: "refusals", run: func(ctx context.Context) (string, error) { return checkRefusals(ctx, test) }}
		r := c.result(t.Context())
		if !r.OK || r.Note != x.note || strings.Contains(r.Hint, "of CPU") != x.note || !strings.Contains(r.Found, x.want) {
			t.Errorf("%+v: %+v", x, r)
		}
	}
}

// What only root may look at is no failure of the host.
func TestResultWithoutRoot(t *testing.T) {
	denied := check{name: "nftables", run: func(context.Context) (string, error) { return "", fmt.Errorf("netlink: %w", unix.EPERM) }}
	want := result{Name: "nftables", OK: true, Note: true, Found: "not known without root"}
	if os.Geteuid() == 0 {
		want = result{Name: "nftables", Error: "netlink: operation not permitted"}
	}
	if diff := cmp.Diff(want, denied.result(t.Context())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
