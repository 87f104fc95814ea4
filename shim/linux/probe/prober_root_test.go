package probe

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/network"
	"github.com/sallyport/sallyport/spec"
)

// probeTimeout is the timeout of a probe, and of the server that it asks.
const probeTimeout = 20 * time.Second

// A harness is a group on a real host whose processes are asked.
type harness struct {
	t          *testing.T
	layout     layout.Layout
	net        *network.Network
	group      *spec.Group
	ns         *os.File
	out        *netnstest.Outside
	ambassador *netnstest.Helper
	member     *netnstest.Helper
	capture    *netnstest.Capture // on the group's link
}

// testLayout returns the layout of the only instance on the host.
func testLayout(runDir string) layout.Layout {
	return layout.Layout{
		RunDir: runDir, CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64",
	}
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	netnstest.Root(t)
	h := &harness{t: t, layout: testLayout(t.TempDir()), out: netnstest.NewOutside(t)}
	h.group = &spec.Group{Name: "checkout", Egress: spec.EgressAmbassador, Containers: []spec.Container{
		{Name: "proxy", Role: spec.Ambassador}, {Name: "web", Role: spec.App},
	}}
	var err error
	if h.net, err = network.New(network.Config{Layout: h.layout}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the helpers have ended
		if err := h.net.Remove(t.Context(), h.group.Name); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	for _, step := range []func() error{
		func() error { return h.net.Seal(t.Context(), h.group.Name) },
		func() error { return h.net.Admit(t.Context(), h.group) },
		func() error { return h.net.Connect(t.Context(), h.group) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	path := h.layout.NetnsPath(h.group.Name)
	if h.ns, err = netns.Open(path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.ns.Close() })
	h.ambassador = h.container(spec.Ambassador, "proxy")
	h.member = h.container(spec.App, "web")
	h.capture = netnstest.NewCapture(t, nil, netns.LinkName(path))
	return h
}

// container starts a helper as the runtime starts a container: in a cgroup of its own below the
// group's.
func (h *harness) container(role spec.Role, name string) *netnstest.Helper {
	h.t.Helper()
	path := h.layout.CgroupPath(h.group.Name, role, name)
	cgroups, err := cgroup.FindHierarchies()
	if err == nil {
		_, err = cgroups.Make(path)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return netnstest.NewHelper(h.t, h.ns, path)
}

// listen makes a listener of a helper in the group.
func (h *harness) listen(who *netnstest.Helper, at netip.AddrPort) *netnstest.Socket {
	h.t.Helper()
	l, err := who.TCP(at.Addr())
	if err != nil {
		h.t.Fatal(err)
	}
	if err := errors.Join(l.SetInt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1), l.Bind(at), l.Listen()); err != nil {
		h.t.Fatal(err)
	}
	return l
}

// expectNothingSent fails if the group has sent anything except neighbour discovery. The ambassador
// sends a datagram first. Once the capture has it, it has everything that was sent before.
func (h *harness) expectNothingSent() {
	h.t.Helper()
	mark := netip.AddrPortFrom(h.out.Addr4, 7)
	sock, err := h.ambassador.UDP(mark.Addr())
	if err != nil {
		h.t.Fatal(err)
	}
	defer sock.Close()
	if err := sock.SendTo(mark, "mark"); err != nil {
		h.t.Fatal(err)
	}
	isMark := func(f netnstest.Frame) bool { return !f.Sent && f.Dst == mark }
	discovers := func(f netnstest.Frame) bool {
		return f.Protocol == unix.IPPROTO_ICMPV6 && len(f.Bytes) > 54 && (f.Bytes[54] == 135 || f.Bytes[54] == 136)
	}
	h.capture.Wait(isMark)
	for _, f := range h.capture.Frames(func(f netnstest.Frame) bool { return !f.Sent && f.Protocol != 0 && !isMark(f) && !discovers(f) }) {
		h.t.Errorf("the group sent protocol %d from %s to %s: %x", f.Protocol, f.Src, f.Dst, f.Bytes)
	}
}

// Probes get through under every policy, to members and to the ambassador, and nothing of them
// leaves the group.
func TestRootProbesGetThrough(t *testing.T) {
	for _, tt := range []struct {
		name   string
		edit   func(*spec.Group)
		leaves bool // the ambassador may send, as expectNothingSent needs
	}{
		{"with an ambassador", nil, true},
		{"with an ambassador that may send nothing", func(g *spec.Group) { g.Ambassador().Allow = []spec.Allow{} }, false},
		{"with interception", func(g *spec.Group) { g.Ambassador().Intercept = 15001 }, true},
		{"sealed", func(g *spec.Group) { g.Egress = spec.EgressNone }, false},
		{"direct", func(g *spec.Group) { g.Egress = spec.EgressDirect }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			if tt.edit != nil {
				tt.edit(h.group)
			}
			if err := h.net.Admit(t.Context(), h.group); err != nil {
				t.Fatal(err)
			}
			p := New(h.layout, nil)
			for role, who := range map[string]*netnstest.Helper{"ambassador": h.ambassador, "member": h.member} {
				l := h.listen(who, netip.MustParseAddrPort("127.0.0.1:7000"))
				if err := p.Probe(t.Context(), h.group.Name, "web", tcpProbe(7000)); err != nil {
					t.Errorf("the %s: %v", role, err)
				}
				if _, err := l.Accept(probeTimeout); err != nil {
					t.Errorf("the %s was not asked: %v", role, err)
				}
				l.Close()
			}
			if tt.leaves {
				h.expectNothingSent()
			}
		})
	}
}

func tcpProbe(port uint16) spec.Probe {
	return spec.Probe{Kind: "ready", TCP: &spec.TCPProbe{Port: port}, Timeout: probeTimeout}
}

// listenInGroup listens on the loopback of the group, from a process outside its cgroups.
func (h *harness) listenInGroup(port string) net.Listener {
	h.t.Helper()
	var l net.Listener
	netnstest.In(h.t, h.ns, func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:"+port)
		return err
	})
	return l
}

func TestRootProbesAsk(t *testing.T) {
	h := newHarness(t)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthy" {
			http.Error(w, "no database", http.StatusServiceUnavailable)
		}
	})}
	defer web.Close()
	go web.Serve(h.listenInGroup("8080"))
	rpc := grpc.NewServer()
	defer rpc.Stop()
	server := health.NewServer()
	server.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(rpc, server)
	go rpc.Serve(h.listenInGroup("9090"))

	p := New(h.layout, nil)
	for _, tt := range []struct {
		name, group string
		p           spec.Probe
		want        string
	}{
		{"http, healthy", h.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/healthy"}}, ""},
		{"http, unhealthy", h.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/"}}, "GET http://127.0.0.1:8080/: status 503 Service Unavailable: no database"},
		{"http, no listener", h.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8081, Path: "/"}}, "GET http://127.0.0.1:8081/: connection refused"},
		{"grpc, healthy", h.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9090}}, ""},
		{"grpc, unhealthy", h.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9090, Service: "down"}}, "grpc health of down at 127.0.0.1:9090: NOT_SERVING"},
		{"grpc, no listener", h.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9091}}, "grpc health of 127.0.0.1:9091: connection refused"},
		{"tcp, a listener", h.group.Name, spec.Probe{TCP: &spec.TCPProbe{Port: 8080}}, ""},
		{"tcp, no listener", h.group.Name, spec.Probe{TCP: &spec.TCPProbe{Port: 8081}}, "connect to 127.0.0.1:8081: connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.p.Timeout = 10 * time.Second
			if err := p.Probe(t.Context(), tt.group, "web", tt.p); hint.Text(err) != tt.want || errors.Is(err, host.ErrNotAsked) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if err := p.Probe(t.Context(), "other", "web", tcpProbe(8080)); !errors.Is(err, host.ErrNotAsked) {
		t.Errorf("a group without a namespace: %v", err)
	}
}

// BenchmarkRootProbe measures what a probe that succeeds costs the daemon.
func BenchmarkRootProbe(b *testing.B) {
	netnstest.Root(b)
	layout := testLayout(b.TempDir())
	n, err := network.New(network.Config{Layout: layout})
	if err != nil {
		b.Fatal(err)
	}
	if err := n.Seal(b.Context(), "shop"); err != nil {
		b.Fatal(err)
	}
	defer n.Remove(b.Context(), "shop")
	ns, err := netns.Open(layout.NetnsPath("shop"))
	if err != nil {
		b.Fatal(err)
	}
	defer ns.Close()
	var l net.Listener
	netnstest.In(b, ns, func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:8080")
		return err
	})
	web := &http.Server{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	defer web.Close()
	go web.Serve(l)
	prober := New(layout, nil)
	for name, p := range map[string]spec.Probe{
		"tcp": tcpProbe(8080), "http": {HTTP: &spec.HTTPProbe{Port: 8080, Path: "/"}, Timeout: probeTimeout},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := prober.Probe(b.Context(), "shop", "web", p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
