package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// dialTo returns a dialer that connects to a server of the test.
func dialTo(addr net.Addr) dialer {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, addr.Network(), addr.String())
	}
}

// longTimeout is longer than an answer takes, even on a busy machine.
const longTimeout = 30 * time.Second

// askWithin asks as a Prober does and returns the text of the error.
func askWithin(t *testing.T, timeout time.Duration, p spec.Probe, dial dialer) string {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), timeout, &timeoutError{timeout})
	defer cancel()
	return hint.Text(askOver(ctx, p, dial))
}

func TestAskHTTP(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		serve      http.HandlerFunc
		want       string
	}{
		{"a status of success", "/healthz", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) }, ""},
		{
			"the request", "/a%20b?c=%64", func(w http.ResponseWriter, r *http.Request) {
				if got := r.Method + " " + r.RequestURI + " of " + r.Host + " by " + r.UserAgent(); got != "GET /a%20b?c=%64 of 127.0.0.1:8080 by sallyport-probe" {
					http.Error(w, got, http.StatusBadRequest)
				}
			}, "",
		},
		{
			"a path that looks like a host", "//192.0.2.1/x", func(w http.ResponseWriter, r *http.Request) {
				if r.RequestURI != "//192.0.2.1/x" {
					http.Error(w, r.RequestURI, http.StatusBadRequest)
				}
			}, "",
		},
		{"no path", "", func(w http.ResponseWriter, r *http.Request) {}, ""},
		{
			"a failure with a reason", "/", func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, "the database\n is \x1b[31mdown", http.StatusServiceUnavailable)
			}, "GET http://127.0.0.1:8080/: status 503 Service Unavailable: the database is \uFFFD[31mdown",
		},
		{"a failure whose body is its status", "/", http.NotFound, "GET http://127.0.0.1:8080/: status 404 Not Found"},
		{"a failure without a body", "/", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNotFound) }, "GET http://127.0.0.1:8080/: status 404 Not Found"},
		{
			"a long reason", "/", func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, strings.Repeat("x", 1<<20), http.StatusBadGateway)
			}, "GET http://127.0.0.1:8080/: status 502 Bad Gateway: " + strings.Repeat("x", hint.Short-len("…")) + "…",
		},
		{"a redirect on the port is followed", "/", redirect("/", "/unwell"), "GET http://127.0.0.1:8080/: status 500 Internal Server Error"},
		{"a redirect to another host is not followed", "/", redirect("/", "http://192.0.2.1/unwell"), ""},
		{"a redirect to another port is not followed", "/", redirect("/", "http://127.0.0.1:81/unwell"), ""},
		{"a redirect to TLS is not followed", "/", redirect("/", "https://127.0.0.1:8080/unwell"), ""},
		{"redirects without end", "/", redirect("/", "/"), "GET http://127.0.0.1:8080/: it redirects more than 10 times"},
		{"the server hangs up", "/", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "GET http://127.0.0.1:8080/: it hung up without an answer"},
		{
			"no HTTP", "/", func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := w.(http.Hijacker).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, "SSH-2.0-\x1b\r\n")
					conn.Close()
				}
			}, `GET http://127.0.0.1:8080/: net/http: HTTP/1.x transport connection broken: malformed HTTP response "SSH-2.0-\x1b"`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(tt.serve)
			defer s.Close()
			p := spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: tt.path}}
			if diff := cmp.Diff(tt.want, askWithin(t, longTimeout, p, dialTo(s.Listener.Addr()))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// What a group file says of the request is in it. Redirects over TLS are followed on the port, too.
// An attempt at a server that never answers leaves no connection open.
func TestAttemptsEndTheirConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ended := make(chan error)
	go func() {
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			go func() {
				_, err := io.Copy(io.Discard, conn)
				conn.Close()
				ended <- err
			}()
		}
	}()
	for name, probe := range map[string]spec.Probe{
		"http": {HTTP: &spec.HTTPProbe{Path: "/"}}, "https": {HTTP: &spec.HTTPProbe{Path: "/", HTTPS: true}}, "grpc": {GRPC: &spec.GRPCProbe{}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		err := askOver(ctx, probe, func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		})
		cancel()
		if err == nil {
			t.Errorf("%s: answered", name)
		}
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Errorf("%s: its connection is still open", name)
		}
	}
}

func TestAskHTTPRequest(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/seen", http.StatusTemporaryRedirect)
			return
		}
		name := ""
		if r.TLS != nil {
			name = " to " + r.TLS.ServerName
		}
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s of %s by %s, %s%s", r.Method, r.RequestURI, r.Host, r.UserAgent(), r.Header.Get("Authorization"), name)
	}
	for _, tt := range []struct {
		name  string
		probe spec.HTTPProbe
		want  string
	}{
		{
			"as written", spec.HTTPProbe{Method: "PUT", Host: "shop.example:8443", Headers: map[string]string{"Authorization": "Bearer x", "User-Agent": "me"}},
			"PUT http://127.0.0.1:8080/: status 418 I'm a teapot: PUT /seen of shop.example:8443 by me, Bearer x",
		},
		{"over TLS", spec.HTTPProbe{HTTPS: true}, "GET https://127.0.0.1:8080/: status 418 I'm a teapot: GET /seen of 127.0.0.1:8080 by sallyport-probe, to"},
		{"over TLS to a name", spec.HTTPProbe{HTTPS: true, Host: "shop.example:8443"}, "GET https://127.0.0.1:8080/: status 418 I'm a teapot: GET /seen of shop.example:8443 by sallyport-probe, to shop.example"},
		{"over TLS to an address", spec.HTTPProbe{HTTPS: true, Host: "[2001:db8::1]:8443"}, "GET https://127.0.0.1:8080/: status 418 I'm a teapot: GET /seen of [2001:db8::1]:8443 by sallyport-probe, to"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.HandlerFunc(serve))
			start := s.Start
			if tt.probe.HTTPS {
				start = s.StartTLS
			}
			start()
			defer s.Close()
			tt.probe.Port, tt.probe.Path = 8080, "/"
			if diff := cmp.Diff(tt.want, askWithin(t, longTimeout, spec.Probe{HTTP: &tt.probe}, dialTo(s.Listener.Addr()))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
	plain := httptest.NewServer(http.HandlerFunc(serve))
	defer plain.Close()
	got := askWithin(t, longTimeout, spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/", HTTPS: true}}, dialTo(plain.Listener.Addr()))
	if want := "GET https://127.0.0.1:8080/: http: server gave HTTP response to HTTPS client"; got != want {
		t.Errorf("a server without TLS: %q, want %q", got, want)
	}
}

func TestAskHTTPWithoutEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int // 0: no status is sent
		want   string
	}{
		{"no answer", 0, "GET http://127.0.0.1:8080/: no answer within 1s"},
		{"a body that never ends", http.StatusOK, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.status != 0 {
					w.WriteHeader(tt.status)
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}))
			defer s.Close()
			p := spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080, Path: "/"}}
			got := askWithin(t, time.Second, p, dialTo(s.Listener.Addr()))
			if got != tt.want && tt.status != 0 { // a busy machine takes longer to send the status
				got = askWithin(t, longTimeout, p, dialTo(s.Listener.Addr()))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// redirect redirects one path to a place. Every other path fails with status 500.
func redirect(from, place string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != from {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.Header().Set("Location", place)
		w.WriteHeader(http.StatusFound)
	}
}

func TestAskGRPC(t *testing.T) {
	server := health.NewServer()
	server.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	for _, tt := range []struct {
		name, service string
		serves        bool // there is a health service
		want          string
	}{
		{"the whole server", "", true, ""},
		{"not serving", "down", true, "grpc health of down at 127.0.0.1:8080: NOT_SERVING"},
		{"unknown service", "other", true, "grpc health of other at 127.0.0.1:8080: its health service does not know the name"},
		{"no health service", "", false, "grpc health of 127.0.0.1:8080: it has no health service (grpc.health.v1.Health)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer()
			defer s.Stop()
			if tt.serves {
				grpc_health_v1.RegisterHealthServer(s, server)
			}
			go func() { _ = s.Serve(l) }()
			p := spec.Probe{GRPC: &spec.GRPCProbe{Port: 8080, Service: tt.service}}
			if diff := cmp.Diff(tt.want, askWithin(t, longTimeout, p, dialTo(l.Addr()))); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

// A server that hangs up is dialled a few times, and not until the timeout of the probe is over.
func TestAskGRPCOfServerThatHangsUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(*http2.Framer) error // before it hangs up
	}{
		{"at once", func(f *http2.Framer) error { return nil }},
		{"after a GOAWAY", func(f *http2.Framer) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					f := http2.NewFramer(conn, conn)
					_, _ = io.ReadFull(conn, make([]byte, len(http2.ClientPreface)))
					_ = errors.Join(f.WriteSettings(), f.WriteSettingsAck(), tt.send(f), conn.Close())
				}
			}()
			for range 20 { // the end of the connection races with the request
				dials := 0
				dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
					dials++
					return dialTo(l.Addr())(ctx, network, addr)
				}
				if got := askWithin(t, longTimeout, spec.Probe{GRPC: &spec.GRPCProbe{Port: 8080}}, dial); got == "" {
					t.Error("the probe succeeded")
				}
				if dials > maxDials {
					t.Fatalf("dialled %d times, want at most %d", dials, maxDials)
				}
			}
		})
	}
}

func TestAskWithoutAnswer(t *testing.T) {
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	refused := func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("connect to [::1]:8080: %w", unix.ECONNREFUSED)
	}
	unasked := func(context.Context, string, string) (net.Conn, error) {
		return nil, fmt.Errorf("%w: too many open files", netns.ErrNoSocket)
	}
	for _, tt := range []struct {
		name    string
		p       spec.Probe
		dial    dialer
		timeout time.Duration
		want    string
	}{
		{"tcp, accepted", spec.Probe{TCP: &spec.TCPProbe{Port: 8080}}, dialTo(mute.Addr()), longTimeout, ""},
		{"tcp, refused", spec.Probe{TCP: &spec.TCPProbe{Port: 8080}}, refused, longTimeout, "connect to 127.0.0.1:8080: connection refused"},
		{"tcp, unasked", spec.Probe{TCP: &spec.TCPProbe{Port: 8080}}, unasked, longTimeout, "connect to 127.0.0.1:8080: it could not be asked: no socket in the namespace: too many open files"},
		{"http, mute", spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080}}, dialTo(mute.Addr()), 100 * time.Millisecond, "GET http://127.0.0.1:8080: no answer within 100ms"},
		{"http, refused", spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080}}, refused, longTimeout, "GET http://127.0.0.1:8080: connection refused"},
		{"http, unasked", spec.Probe{HTTP: &spec.HTTPProbe{Port: 8080}}, unasked, longTimeout, "GET http://127.0.0.1:8080: it could not be asked: no socket in the namespace: too many open files"},
		{"grpc, mute", spec.Probe{GRPC: &spec.GRPCProbe{Port: 8080}}, dialTo(mute.Addr()), 100 * time.Millisecond, "grpc health of 127.0.0.1:8080: no answer within 100ms"},
		{"grpc, refused", spec.Probe{GRPC: &spec.GRPCProbe{Port: 8080}}, refused, longTimeout, "grpc health of 127.0.0.1:8080: connection refused"},
		{"grpc, unasked", spec.Probe{GRPC: &spec.GRPCProbe{Port: 8080}}, unasked, longTimeout, "grpc health of 127.0.0.1:8080: it could not be asked: no socket in the namespace: too many open files"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, askWithin(t, tt.timeout, tt.p, tt.dial)); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResultErrorOfContainerThatWasNotAsked(t *testing.T) {
	if err := resultError(t.Context(), "x", fmt.Errorf("%w: no port", netns.ErrNoSocket)); !errors.Is(err, host.ErrNotAsked) {
		t.Errorf("%v counts against the container", err)
	}
	if err := resultError(t.Context(), "x", unix.ECONNREFUSED); errors.Is(err, host.ErrNotAsked) {
		t.Errorf("%v does not count against the container", err)
	}
}
