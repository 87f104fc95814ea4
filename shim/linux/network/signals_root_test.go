package network

import (
	"context"
	"errors"
	"net/netip"
	"os"
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

// one waits until this group is woken, and fails if another was before.
func (c counting) one(t *testing.T, when string, want string) {
	t.Helper()
	if g := c.next(t); g != want {
		t.Errorf("%s: %q was woken, want %q", when, g, want)
	}
}

// next returns who is woken next.
func (c counting) next(t *testing.T) string {
	t.Helper()
	select {
	case g := <-c.groups:
		return g
	case <-time.After(longWait):
		t.Fatal("none was woken")
		return ""
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
	h.net.signals.armEvery = 0
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

// A group that is refused things without end costs one message, and is then read each second. The
// time between two messages decides, and not the packets. No packet is lost to the count.
func TestRootRefusalsWithoutEnd(t *testing.T) {
	h, woken := newTold(t, nil)
	h.net.signals.armEvery = time.Hour
	name, far, near := h.group.Name, netip.AddrPortFrom(h.out.Addr4, 443), netip.AddrPortFrom(h.out.Host4, 22)
	h.settle()
	const rounds = 5
	for i := range rounds {
		for range 20 {
			tryToSend(t, h.member, far)
			tryToSend(t, h.ambassador, near)
		}
		if i < 2 { // the signal of a new table, and once again
			if a, b := woken.next(t), woken.next(t); a+b != name {
				t.Errorf("%q and %q were woken", a, b)
			}
		}
		c := h.net.Counts([]string{name})[0]
		_, told, err := h.net.RefusedByHost([]string{name})
		if want := i == 0; c.Err != nil || err != nil || c.Told != want || told != want {
			t.Errorf("round %d: the group: told %v, %v; the host: told %v, %v; want %v", i, c.Told, c.Err, told, err, want)
		}
	}
	h.expectDenials(denial("proxy", "tcp", near, 20*rounds), denial("proxy", "udp", near, 20*rounds),
		denial("web", "tcp", far, 20*rounds), denial("web", "udp", far, 20*rounds))
	h.net.signals.armEvery = 0
	h.settle()
	tryToSend(t, h.ambassador, near)
	woken.one(t, "later, by the host", "")
	tryToSend(t, h.member, far)
	woken.one(t, "later, by the group's rules", name)
}

// A group goes while the message of a refusal is under way, and another takes its name.
func TestRootGroupGoesWhileItIsTold(t *testing.T) {
	h, woken := newTold(t, nil)
	name, far := h.group.Name, netip.AddrPortFrom(h.out.Addr4, 443)
	h.settle()
	tryToSend(t, h.member, far)
	h.member.Kill()
	h.ambassador.Kill()
	h.ns.Close()
	if err := h.net.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	woken.one(t, "the refusal, or the end", name)
	if c := h.net.Counts([]string{name})[0]; !errors.Is(c.Err, os.ErrNotExist) || len(c.Denials) > 0 {
		t.Errorf("the group is gone: %v, %v", c.Denials, c.Err)
	}
	bringUp(t, h.net, h.group)
	h.ns = must(h.net.open(name))(t)
	if c := h.net.Counts([]string{name})[0]; c.Err != nil || c.Told {
		t.Errorf("before the new namespace is heard: told %v, %v", c.Told, c.Err)
	}
	must(h.net.signals.watcher.(*watch.Watcher).Namespace(name, h.ns))(t)
	h.settle()
	h.expectDenials()
	for len(woken.groups) > 0 {
		<-woken.groups
	}
	tryToSend(t, h.container(spec.App, "web"), far)
	woken.one(t, "a refusal in the new namespace", name)
	h.expectDenials(denial("web", "tcp", far, 1), denial("web", "udp", far, 1))
}

// When a group is not heard any more, it is read at once, and then each second.
func TestRootNotHeardAnyMore(t *testing.T) {
	h, woken := newTold(t, nil)
	h.settle()
	d := h.net.NewDrift()
	d.ears.watcher = h.net.signals.watcher.(*watch.Watcher)
	d.forget(h.group.Name)
	woken.one(t, "when it is forgotten", h.group.Name)
	if c := h.net.Counts([]string{h.group.Name})[0]; c.Err != nil || c.Told {
		t.Errorf("a group that is not heard: told %v, %v", c.Told, c.Err)
	}
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
