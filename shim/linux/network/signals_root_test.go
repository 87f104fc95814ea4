package network

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/netns/watch"
	"github.com/sallyport/sallyport/spec"
)

// A counting remembers who was woken.
type counting struct {
	groups chan string // "" for the host
}

func (c counting) Wake(groups ...string) {
	for _, g := range groups {
		c.groups <- g
	}
}
func (c counting) WakeHost() { c.groups <- "" }
func (c counting) WakeAll()  { c.groups <- "all" }

// none fails if someone was woken since the last call.
func (c counting) none(t *testing.T, when string) {
	t.Helper()
	select {
	case g := <-c.groups:
		t.Errorf("%s: %q was woken", when, g)
	default:
	}
}

// one waits until these are woken, and fails if others were before.
func (c counting) one(t *testing.T, when string, want string) {
	t.Helper()
	select {
	case g := <-c.groups:
		if g != want {
			t.Errorf("%s: %q was woken, want %q", when, g, want)
		}
	case <-time.After(longWait):
		t.Fatalf("%s: none was woken, want %q", when, want)
	}
}

// newTold returns a harness whose network reports denials.
func newTold(t *testing.T, edit func(*spec.Group)) (*harness, counting) {
	h := newHarness(t, edit)
	w, err := watch.Open()
	if err != nil {
		t.Fatal(err)
	}
	woken := counting{make(chan string, 1000)}
	h.net.TellDenials(w, woken)
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { w.Run(ctx) })
	t.Cleanup(func() {
		h.net.signals = signals{}
		cancel()
		run.Wait()
		w.Close()
	})
	if c := h.net.Counts([]string{h.group.Name})[0]; c.Err != nil || c.Told {
		t.Errorf("before the namespace is heard: told %v, %v", c.Told, c.Err)
	}
	if _, err := w.Namespace(h.group.Name, h.ns); err != nil {
		t.Fatal(err)
	}
	return h, woken
}

// settle reads the counts of the group and of the host, which must be told from now on.
func (h *harness) settle() {
	h.t.Helper()
	c := h.net.Counts([]string{h.group.Name})[0]
	if c.Err != nil || !c.Told {
		h.t.Fatalf("the group: told %v, %v", c.Told, c.Err)
	}
	if _, told, err := h.net.RefusedByHost([]string{h.group.Name}); err != nil || !told {
		h.t.Fatalf("the host: told %v, %v", told, err)
	}
}

// The kernel reports any number of refusals once, by the group's rules and by the host's, and again
// after they were read. It reports nothing of what passes.
func TestRootDenialsAreTold(t *testing.T) {
	h, woken := newTold(t, nil)
	name, far, near := h.group.Name, netip.AddrPortFrom(h.out.Addr4, 443), netip.AddrPortFrom(h.out.Host4, 22)
	h.settle()
	tryToSend(t, h.ambassador, far, netip.AddrPortFrom(h.out.Addr6, 443))
	for i := range 3 {
		woken.none(t, "before")
		for range 20 {
			tryToSend(t, h.member, far, netip.AddrPortFrom(h.out.Addr6, 443))
		}
		woken.one(t, "the group's rules", name)
		tryToSend(t, h.member, far)
		h.settle()
		for range 20 {
			tryToSend(t, h.ambassador, near)
		}
		woken.one(t, "the host's rules", "")
		if got, _, err := h.net.RefusedByHost([]string{name, "other"}); err != nil || !slices.Equal(got, []string{name}) {
			t.Errorf("refused by the host: %v, %v, want %s", got, err, name)
		}
		if got, _, err := h.net.RefusedByHost([]string{name, "other"}); err != nil || len(got) > 0 {
			t.Errorf("refused by the host since: %v, %v, want none", got, err)
		}
		h.settle()
		h.expectDenials(denial("proxy", "tcp", near, uint64(20*(i+1))), denial("proxy", "udp", near, uint64(20*(i+1))),
			denial("web", "tcp", far, uint64(21*(i+1))), denial("web", "tcp", netip.AddrPortFrom(h.out.Addr6, 443), uint64(20*(i+1))),
			denial("web", "udp", far, uint64(21*(i+1))), denial("web", "udp", netip.AddrPortFrom(h.out.Addr6, 443), uint64(20*(i+1))))
	}
	woken.none(t, "at the end")
}

// Rules of a daemon before this one report nothing, and those that take their place do. No packet
// of a member passes meanwhile.
func TestRootUntoldRules(t *testing.T) {
	h, woken := newTold(t, nil)
	h.settle()
	bringUp(t, must(New(Config{Layout: h.net.layout}))(t), h.group)
	woken.one(t, "the change of rules", h.group.Name)
	if c := h.net.Counts([]string{h.group.Name})[0]; c.Err != nil || c.Told {
		t.Errorf("with the older rules: told %v, %v", c.Told, c.Err)
	}
	far := netip.AddrPortFrom(h.out.Addr4, 443)
	tryToSend(t, h.member, far)
	bringUp(t, h.net, h.group)
	netnstest.Eventually(t, "the change of rules is heard", func() bool { return len(woken.groups) > 0 })
	h.settle()
	h.expectDenials(denial("web", "tcp", far, 1), denial("web", "udp", far, 1))
}

// 80 % of the quota, and all of it, are told.
func TestRootQuotaIsTold(t *testing.T) {
	h, woken := newTold(t, func(g *spec.Group) { g.Ambassador().Quota = 10_000 })
	h.settle()
	far := netip.AddrPortFrom(h.out.Addr4, 443)
	sink := must(h.remote.UDP(far.Addr()))(t) // so that no ICMP errors come back
	if err := sink.Bind(far); err != nil {
		t.Fatal(err)
	}
	send := func(bytes int) {
		t.Helper()
		c := must(h.ambassador.UDP(far.Addr()))(t)
		defer c.Close()
		_ = c.SendTo(far, string(make([]byte, bytes-28))) // the last one may be refused
	}
	for range 7 {
		send(1000)
	}
	woken.none(t, "at 70 %")
	send(1000)
	woken.one(t, "at 80 %", h.group.Name)
	h.settle()
	send(1000)
	woken.none(t, "at 90 %")
	send(1000)
	woken.one(t, "at 100 %", h.group.Name)
	if c := h.net.Counts([]string{h.group.Name})[0]; c.Used != 10_000 || c.Quota != 10_000 {
		t.Errorf("%d of %d bytes are spent", c.Used, c.Quota)
	}
}
