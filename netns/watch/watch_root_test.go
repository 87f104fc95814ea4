package watch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	vnetns "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// An ear has a Watcher that runs, and what it has heard.
type ear struct {
	t     *testing.T
	w     *Watcher
	heard chan Event
}

func newEar(t *testing.T) *ear {
	t.Helper()
	netnstest.Root(t)
	w, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{t, w, make(chan Event, 4096)}
	w.Listen(func(events []Event) {
		for _, event := range events {
			e.heard <- event
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		w.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		w.Close()
	})
	return e
}

// longWait is how long to wait for what must come.
const longWait = time.Minute

// expect waits for an event. It returns what was heard before.
func (e *ear) expect(want Event) (before []Event) {
	e.t.Helper()
	timeout := time.After(longWait)
	for {
		select {
		case got := <-e.heard:
			if got == want {
				return before
			}
			before = append(before, got)
		case <-timeout:
			e.t.Fatalf("not heard: %+v; heard %+v", want, before)
		}
	}
}

// namespace makes a namespace with a link and an address, and watches it.
func (e *ear) namespace(name string) *os.File {
	e.t.Helper()
	ns := netnstest.NewNamespace(e.t)
	must(e.w.Namespace(name, ns))(e.t)
	return ns
}

func within(t *testing.T, ns *os.File, do func(*netlink.Handle) error) {
	t.Helper()
	h, err := netlink.NewHandleAt(vnetns.NsHandle(ns.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := do(h); err != nil {
		t.Fatal(err)
	}
}

// link returns a link to make or to remove, with its other end.
func link(name string) *netlink.Veth {
	return &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-peer"}
}

func addr(t *testing.T, a string) *netlink.Addr {
	t.Helper()
	out, err := netlink.ParseAddr(a)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Each change of a namespace, of the host, of a file and of the mounts is heard under its name.
func TestRootHears(t *testing.T) {
	e := newEar(t)
	ns := e.namespace("till")
	e.namespace("other")
	host, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	within(t, ns, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	eth0 := must(netlink.NewHandleAt(vnetns.NsHandle(ns.Fd())))(t)
	defer eth0.Close()
	groupLink := must(eth0.LinkByName("eth0"))(t)
	inside := func(do func(*netlink.Handle) error) func() { return func() { within(t, ns, do) } }
	nft := func(ns *os.File, rules string) func() { return func() { netnstest.NFT(t, ns, rules, "-f", "-") } }
	onHost := must(netlink.NewHandle())(t)
	defer onHost.Close()
	if err := onHost.LinkAdd(link("sp-a")); err != nil {
		t.Fatal(err)
	}
	defer onHost.LinkDel(link("sp-a"))
	hostLink := must(onHost.LinkByName("sp-a"))(t)
	index := hostLink.Attrs().Index
	queue := &netlink.Tbf{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: groupLink.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate: 1 << 20, Limit: 1 << 20, Buffer: 1 << 20}
	route := &netlink.Route{LinkIndex: groupLink.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 9, 0, 0), Mask: net.CIDRMask(16, 32)}}

	h := must(cgroup.FindHierarchies())(t)
	folder := filepath.Join(netnstest.CgroupRoot(), "members")
	must(h.Make(folder))(t)
	defer h.Remove(netnstest.CgroupRoot())
	folders := []string{filepath.Join(h.V2, folder), "/no/such/folder"}
	for _, file := range []*os.File{must(netns.OpenReservedPorts(ns))(t), nil} { // the second call changes nothing
		if missing := must(e.w.Paths("till", folders, file))(t); !slices.Equal(missing, folders[1:]) {
			t.Errorf("missing: %q", missing)
		}
	}
	mounted := t.TempDir()
	limit := filepath.Join(t.TempDir(), "limit")
	must(0, os.WriteFile(limit, []byte("7"), 0o600))(t)
	for range 2 {
		if missing := must(e.w.Written("till", []string{limit, "/no/such/file"}))(t); !slices.Equal(missing, []string{"/no/such/file"}) {
			t.Errorf("missing: %q", missing)
		}
	}
	depth := filepath.Join(h.V2, folder, "cgroup.max.depth")
	must(e.w.Written("other", []string{depth}))(t)

	for _, tt := range []struct {
		name string
		do   func()
		want Event
	}{
		{"link up", inside(func(h *netlink.Handle) error { return h.LinkSetUp(groupLink) }), Event{Kind: Links, Name: "till"}},
		{"address", inside(func(h *netlink.Handle) error { return h.AddrAdd(groupLink, addr(t, "10.8.0.1/24")) }), Event{Kind: Links, Name: "till"}},
		{"IPv6 address", inside(func(h *netlink.Handle) error { return h.AddrAdd(groupLink, addr(t, "fd00::8/64")) }), Event{Kind: Links, Name: "till"}},
		{"queue", inside(func(h *netlink.Handle) error { return h.QdiscAdd(queue) }), Event{Kind: Links, Name: "till"}},
		{"route", inside(func(h *netlink.Handle) error { return h.RouteAdd(route) }), Event{Kind: Links, Name: "till"}},
		{"route gone", inside(func(h *netlink.Handle) error { return h.RouteDel(route) }), Event{Kind: Links, Name: "till"}},
		{"link gone", inside(func(h *netlink.Handle) error { return h.LinkDel(groupLink) }), Event{Kind: Links, Name: "till"}},
		{"rules", nft(ns, "add table inet theirs"), Event{Kind: Rules, Name: "till"}},
		{"rules flushed", nft(ns, "flush ruleset"), Event{Kind: Rules, Name: "till"}},
		{"host: link", func() { must(0, onHost.LinkSetUp(hostLink))(t) }, Event{Kind: Links, Link: "sp-a", Index: index}},
		{"host: address", func() { must(0, onHost.AddrAdd(hostLink, addr(t, "10.7.0.1/24")))(t) }, Event{Kind: Links, Index: index}},
		{"host: rules", nft(host, "add table inet theirs; delete table inet theirs"), Event{Kind: Rules}},
		{"host: forwarding", func() { forward(t, "ipv4/ip_forward") }, Event{Kind: Forwarding}},
		{"host: IPv6 forwarding", func() { forward(t, "ipv6/conf/all/forwarding") }, Event{Kind: Forwarding}},
		{"mount", func() { must(0, unix.Mount("none", mounted, "tmpfs", 0, ""))(t) }, Event{Kind: Mounts}},
		{"unmount", func() { must(0, unix.Unmount(mounted, 0))(t) }, Event{Kind: Mounts}},
		{"cgroup made", func() { must(h.Make(filepath.Join(folder, "web")))(t) }, Event{Kind: Files, Name: "till"}},
		{"cgroup gone", func() { must(0, h.Remove(filepath.Join(folder, "web")))(t) }, Event{Kind: Files, Name: "till"}},
		{"limit", func() { must(0, os.WriteFile(limit, []byte("8"), 0o600))(t) }, Event{Kind: Written, Name: "till"}},
		{"limit of a cgroup", func() { must(0, os.WriteFile(depth, []byte("8"), 0))(t) }, Event{Kind: Written, Name: "other"}},
		{"limit gone", func() { must(0, os.Remove(limit))(t) }, Event{Kind: Written, Name: "till"}},
		{"reserved ports", func() { must(0, netns.ReservePorts(ns, netns.PortsOf(444)))(t) }, Event{Kind: Files, Name: "till"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e.t = t
			tt.do()
			for _, got := range e.expect(tt.want) {
				if got.Name == "other" {
					t.Errorf("heard of another namespace: %+v", got)
				}
			}
		})
	}
}

// forward changes a switch for forwarding.
func forward(t *testing.T, key string) {
	t.Helper()
	before := must(netns.ReadSysctl(key))(t)
	must(0, netns.WriteSysctl(key, map[string]string{"0": "1", "1": "0"}[before]))(t)
}

// must returns a function that returns v, and fails the test if err is not nil.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// A quota that is used up is heard once, with its table.
func TestRootHearsOfObjects(t *testing.T) {
	e := newEar(t)
	ns := e.namespace("till")
	netnstest.NFT(t, ns, `table inet ours {
		quota spent { over 10 bytes }
		chain output { type filter hook output priority 0; quota name "spent" counter; }
	}`, "-f", "-")
	e.expect(Event{Kind: Rules, Name: "till"})
	netnstest.In(t, ns, func() error {
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			return err
		}
		defer conn.Close()
		for range 3 {
			_, _ = conn.Write(make([]byte, 100)) // the answer is an error: nothing listens
		}
		return nil
	})
	e.expect(Event{Kind: Object, Name: "till", Table: "ours", Object: "spent"})
	netnstest.NFT(t, ns, "add table inet more", "-f", "-")
	if also := e.expect(Event{Kind: Rules, Name: "till"}); len(also) > 0 {
		t.Errorf("also heard: %+v", also)
	}
}

// Namespaces that are not watched, or no longer, are not heard. Nor are the host's routes: a router
// has many.
func TestRootHearsNothingElse(t *testing.T) {
	e := newEar(t)
	ns, left, strange := e.namespace("till"), e.namespace("left"), netnstest.NewNamespace(t)
	e.w.Forget("left")
	for _, other := range []*os.File{left, strange} {
		netnstest.NFT(t, other, "add table inet theirs", "-f", "-")
		within(t, other, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	}
	lo := must(netlink.LinkByName("lo"))(t)
	route := &netlink.Route{LinkIndex: lo.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4(10, 9, 0, 0), Mask: net.CIDRMask(16, 32)}}
	must(0, netlink.RouteAdd(route))(t)
	must(0, netlink.RouteDel(route))(t)
	within(t, ns, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	if also := e.expect(Event{Kind: Links, Name: "till"}); len(also) > 0 {
		t.Errorf("also heard: %+v", also)
	}
}

// A namespace that is watched goes when nothing else keeps it. Its name may then be that of
// another, as may its number.
func TestRootKeepsNoNamespace(t *testing.T) {
	e := newEar(t)
	open := func() (ns *os.File) {
		netnstest.In(t, nil, func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			var err error
			ns, err = os.Open("/proc/thread-self/ns/net")
			return err
		})
		return ns
	}
	for range 3 {
		ns := open()
		for i := range 2 { // the second changes nothing
			if begun := must(e.w.Namespace("till", ns))(t); begun != (i == 0) {
				t.Errorf("call %d: begun %v", i, begun)
			}
			if !e.w.Hears("till", ns) || e.w.Hears("other", ns) {
				t.Error("heard under another name")
			}
		}
		must(e.w.Paths("till", nil, must(netns.OpenReservedPorts(ns))(t)))(t)
		netnstest.NFT(t, ns, "add table inet theirs", "-f", "-")
		e.expect(Event{Kind: Rules, Name: "till"})
		ns.Close()
		e.expect(Event{Kind: Gone, Name: "till"})
	}
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if len(e.w.names)+len(e.w.numbers) > 0 {
		t.Errorf("remembered: %v %v", e.w.names, e.w.numbers)
	}
}

// Another namespace under the name takes the place of the first.
func TestRootNamespaceIsReplaced(t *testing.T) {
	e := newEar(t)
	first, second := e.namespace("till"), e.namespace("till")
	netnstest.NFT(t, first, "add table inet theirs", "-f", "-")
	within(t, second, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	if also := e.expect(Event{Kind: Links, Name: "till"}); len(also) > 0 {
		t.Errorf("also heard: %+v", also)
	}
	must(e.w.Namespace("till", first))(t)
	netnstest.NFT(t, first, "add table inet more", "-f", "-")
	e.expect(Event{Kind: Rules, Name: "till"})
}

// A batch of any size costs one message, which the kernel sends at its end.
func TestRootLargeBatchIsOneMessage(t *testing.T) {
	netnstest.Root(t)
	w := must(Open())(t)
	defer w.Close()
	ns := netnstest.NewNamespace(t)
	must(w.Namespace("till", ns))(t)
	var elements []string
	for i := range 5000 {
		elements = append(elements, fmt.Sprintf("10.0.%d.%d", i/250, i%250))
	}
	netnstest.NFT(t, ns, "table inet theirs { set s { type ipv4_addr; elements = { "+strings.Join(elements, ", ")+" };}; }", "-f", "-")
	messages := 0
	receive(w.hub.netfilter, func(int32, []byte) { messages++ })
	if messages != 1 {
		t.Errorf("%d messages, want 1", messages)
	}
}

// What does not fit into the buffer is reported as lost, and later events are heard again.
func TestRootOverrun(t *testing.T) {
	netnstest.Root(t)
	w := must(Open())(t)
	defer w.Close()
	ns := netnstest.NewNamespace(t)
	must(w.Namespace("till", ns))(t)
	must(0, unix.SetsockoptInt(w.hub.route, unix.SOL_SOCKET, unix.SO_RCVBUF, 1))(t)
	read := func() []Event {
		fds := make([]unix.PollFd, len(w.sources))
		for i := range fds {
			fds[i].Revents = unix.POLLIN
		}
		return slices.DeleteFunc(w.read(fds), func(e Event) bool { return e.Kind == Mounts })
	}
	flood(t, ns)
	if got := read(); !slices.Contains(got, Event{Kind: Lost}) {
		t.Errorf("after an overrun: %+v", got)
	}
	must(0, unix.SetsockoptInt(w.hub.route, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bufferSize))(t)
	within(t, ns, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	if got := read(); !slices.Equal(got, []Event{{Kind: Links, Name: "till"}}) {
		t.Errorf("after the overrun was read: %+v", got)
	}
}

// After an overrun the socket is read to its end, however many messages there are. Until it is
// empty the kernel adds none, and does not report that.
func TestRootOverrunIsReadToItsEnd(t *testing.T) {
	netnstest.Root(t)
	w := must(Open())(t)
	defer w.Close()
	ns, other := netnstest.NewNamespace(t), netnstest.NewNamespace(t)
	must(w.Namespace("till", ns))(t)
	must(w.Namespace("other", other))(t)
	fd := w.hub.route
	must(0, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 1<<20))(t)
	flood(t, ns)
	waiting := 0
	for buf := make([]byte, 64<<10); ; waiting++ {
		if _, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT); errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	if waiting < mostRead+mostRead/2 {
		t.Fatalf("%d messages fit into the buffer: too few for this test", waiting)
	}
	flood(t, ns)
	handed := 0
	if lost := receive(fd, func(int32, []byte) { handed++ }); !lost || handed > 0 {
		t.Errorf("after an overrun: lost %v, %d messages", lost, handed)
	}
	within(t, other, func(h *netlink.Handle) error { return h.LinkAdd(link("eth0")) })
	var events []Event
	if lost := w.readRoute(fd, func(e Event) { events = append(events, e) }); lost || !slices.Contains(events, Event{Kind: Links, Name: "other"}) {
		t.Errorf("afterwards: lost %v, and nothing of the other namespace in %d events", lost, len(events))
	}
}

// What a process changes is heard, although it asks for an echo by a port id that a socket of this
// process would get: its number.
func TestRootHearsEchoedChanges(t *testing.T) {
	e := newEar(t)
	ns := e.namespace("till")
	route := nl.NewNetlinkRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK|unix.NLM_F_ECHO)
	to := nl.NewRtMsg()
	to.Family, to.Dst_len = unix.AF_INET, 32
	route.AddData(to)
	route.AddData(nl.NewRtAttr(unix.RTA_DST, []byte{10, 6, 0, 1}))
	route.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(1))) // lo
	table := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE|unix.NLM_F_ACK|unix.NLM_F_ECHO)
	table.AddData(&nl.Nfgenmsg{NfgenFamily: unix.NFPROTO_INET})
	table.AddData(nl.NewRtAttr(unix.NFTA_TABLE_NAME, nl.ZeroTerminated("theirs")))
	batch := func(kind int) []byte {
		r := nl.NewNetlinkRequest(kind, 0)
		r.AddData(&nl.Nfgenmsg{ResId: unix.NFNL_SUBSYS_NFTABLES << 8}) // big-endian
		return r.Serialize()
	}
	for _, tt := range []struct {
		protocol int
		messages [][]byte
		want     Kind
	}{
		{unix.NETLINK_ROUTE, [][]byte{route.Serialize()}, Links},
		{unix.NETLINK_NETFILTER, [][]byte{batch(unix.NFNL_MSG_BATCH_BEGIN), table.Serialize(), batch(unix.NFNL_MSG_BATCH_END)}, Rules},
	} {
		netnstest.In(t, ns, func() error {
			fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, tt.protocol)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Pid: uint32(os.Getpid())}); err != nil {
				return err
			}
			return unix.Sendto(fd, slices.Concat(tt.messages...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		})
		e.expect(Event{Kind: tt.want, Name: "till"})
	}
}

// A flood of messages becomes a few events.
func TestRootFloodIsMerged(t *testing.T) {
	e := newEar(t)
	ns := e.namespace("till")
	flood(t, ns)
	netnstest.NFT(t, ns, "add table inet theirs", "-f", "-")
	if merged := e.expect(Event{Kind: Rules, Name: "till"}); len(merged) > 300 {
		t.Errorf("%d events of 2,000 changes", len(merged))
	}
}

// flood changes the addresses of a namespace 2,000 times.
func flood(t *testing.T, ns *os.File) {
	t.Helper()
	within(t, ns, func(h *netlink.Handle) error {
		lo, err := h.LinkByName("lo")
		if err != nil {
			return err
		}
		a := addr(t, "10.6.0.1/32")
		for range 1000 {
			if err := errors.Join(h.AddrAdd(lo, a), h.AddrDel(lo, a)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Mounts are those of the whole host. However often they change, they are heard of once a second,
// and the last change is not missed.
func TestRootMountsAreHeardOnceASecond(t *testing.T) {
	netnstest.Root(t)
	w := must(Open())(t)
	defer w.Close()
	heard := make(chan struct{}, 1000)
	w.Listen(func(events []Event) {
		if slices.Contains(events, Event{Kind: Mounts}) {
			heard <- struct{}{}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	defer func() { cancel(); <-done }()
	dir := t.TempDir()
	begun := time.Now()
	changes := 0
	change := func() {
		must(0, unix.Mount("none", dir, "tmpfs", 0, ""))(t)
		must(0, unix.Unmount(dir, 0))(t)
	}
	for ; time.Since(begun) < 1500*time.Millisecond; changes++ {
		change()
		time.Sleep(10 * time.Millisecond)
	}
	times, most := len(heard), 2+int(time.Since(begun)/time.Second) // one may be a change of other tests
	if times == 0 || times > most {
		t.Errorf("%d changes were heard %d times in %v, want %d at most", changes, times, time.Since(begun), most)
	}
	for len(heard) > 0 {
		<-heard
	}
	change()
	select {
	case <-heard:
	case <-time.After(longWait):
		t.Error("the last change was not heard")
	}
}
