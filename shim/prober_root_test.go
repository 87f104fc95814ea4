package shim

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/netns/netnstest"
	"github.com/sallyport/sallyport/spec"
)

// Probes get through under every policy, to members and to the ambassador, and nothing of them leaves the group.
func TestRootProbesGetThrough(t *testing.T) {
	for _, tt := range []struct {
		name   string
		edit   func(*spec.Group)
		leaves bool // the ambassador may, as the look for what came out needs
	}{
		{"with an ambassador", nil, true},
		{"with one that may call nobody", func(g *spec.Group) { g.Ambassador().Allow = []spec.Allow{} }, false},
		{"with interception", intercepting, true},
		{"sealed", func(g *spec.Group) { g.Egress = spec.EgressNone }, false},
		{"direct", func(g *spec.Group) { g.Egress = spec.EgressDirect }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStage(t, nil)
			if tt.edit != nil {
				tt.edit(s.group)
			}
			if err := s.net.Admit(t.Context(), s.group); err != nil {
				t.Fatal(err)
			}
			h := NewHostProber(s.net.layout, nil)
			for role, who := range map[string]*netnstest.Helper{"ambassador": s.ambassador, "member": s.member} {
				l := listen(t, who, netip.MustParseAddrPort("127.0.0.1:7000"))
				if err := h.Probe(t.Context(), s.group.Name, "web", tcpProbe(7000)); err != nil {
					t.Errorf("the %s: %v", role, err)
				}
				if _, err := l.Accept(patience); err != nil {
					t.Errorf("the %s was not asked: %v", role, err)
				}
				l.Close()
			}
			if tt.leaves {
				s.silent()
			}
		})
	}
}

func tcpProbe(port uint16) spec.Probe {
	return spec.Probe{Kind: "ready", TCP: &spec.TCPProbe{Port: port}, Timeout: patience}
}

// serveIn listens on the loopback of the group, as nobody's process.
func (s *stage) serveIn(port string) net.Listener {
	s.t.Helper()
	var l net.Listener
	netnstest.In(s.t, s.ns, func() (err error) {
		l, err = net.Listen("tcp", "127.0.0.1:"+port)
		return err
	})
	return l
}

func TestRootProbesAsk(t *testing.T) {
	s := newStage(t, nil)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/well" {
			http.Error(w, "a headache", http.StatusServiceUnavailable)
		}
	})}
	defer web.Close()
	go web.Serve(s.serveIn("8080"))
	rpc := grpc.NewServer()
	defer rpc.Stop()
	said := health.NewServer()
	said.SetServingStatus("unwell", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	grpc_health_v1.RegisterHealthServer(rpc, said)
	go rpc.Serve(s.serveIn("9090"))

	h := NewHostProber(s.net.layout, nil)
	for _, tt := range []struct {
		name, group string
		p           spec.Probe
		want        string
	}{
		{"http, well", s.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/well"}}, ""},
		{"http, unwell", s.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/"}}, "GET http://127.0.0.1:8080/: status 503 Service Unavailable: a headache"},
		{"http, nobody", s.group.Name, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8081, Path: "/"}}, "GET http://127.0.0.1:8081/: connection refused"},
		{"grpc, well", s.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9090}}, ""},
		{"grpc, unwell", s.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9090, Service: "unwell"}}, "grpc health of unwell at 127.0.0.1:9090: NOT_SERVING"},
		{"grpc, nobody", s.group.Name, spec.Probe{GRPC: &spec.GRPCProbe{Port: 9091}}, "grpc health of 127.0.0.1:9091: connection refused"},
		{"tcp, somebody", s.group.Name, spec.Probe{TCP: &spec.TCPProbe{Port: 8080}}, ""},
		{"tcp, nobody", s.group.Name, spec.Probe{TCP: &spec.TCPProbe{Port: 8081}}, "connect to 127.0.0.1:8081: connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.p.Timeout = 10 * time.Second
			if err := h.Probe(t.Context(), tt.group, "web", tt.p); errorText(err) != tt.want || errors.Is(err, ErrNotAsked) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if err := h.Probe(t.Context(), "other", "web", tcpProbe(8080)); !errors.Is(err, ErrNotAsked) {
		t.Errorf("a group without a namespace: %v", err)
	}
}

// BenchmarkRootProbe is what a probe that succeeds costs the daemon.
func BenchmarkRootProbe(b *testing.B) {
	netnstest.Root(b)
	n, err := NewHostNetwork(HostNetworkConfig{Layout: Layout{
		RunDir: b.TempDir(), CgroupRoot: netnstest.CgroupRoot(), Table: "sallyport", Prefix4: "10.209.0.0/16", Prefix6: "fd5a:11e0:9027::/64",
	}})
	if err != nil {
		b.Fatal(err)
	}
	if err := n.Seal(b.Context(), "shop"); err != nil {
		b.Fatal(err)
	}
	defer n.Remove(b.Context(), "shop")
	ns, err := n.open("shop")
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
	h := NewHostProber(n.layout, nil)
	for name, p := range map[string]spec.Probe{
		"tcp": tcpProbe(8080), "http": {HTTP: &spec.HTTPProbe{Port: 8080, Path: "/"}, Timeout: patience},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := h.Probe(b.Context(), "shop", "web", p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
