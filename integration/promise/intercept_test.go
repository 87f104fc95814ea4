package promise

import (
	"fmt"
	"maps"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// A proxy is a Debian program to which members' TCP is redirected. It answers 403 for the victim's
// addresses.
type proxy struct {
	name  string
	image string
	file  string // the path of its configuration
	conf  string
	asks  string // its request to the remote host for /order
	v6    bool   // it reads the original destination of IPv6 as well
}

// haproxyIntercepts knows the original destination of a connection over IPv4. It must not call an
// address that it takes for its own, or it would call itself. It takes every IPv6 address for its
// own.
const haproxyIntercepts = `
global
    log stdout format raw local0
defaults
    mode http
    log global
    log-format "asked for %[dst]:%[dst_port]: %ST"
    timeout connect 2s
    timeout client 5s
    timeout server 5s
frontend intercepted
    bind 127.0.0.1:15001
    bind [::1]:15001
    acl victim dst 198.51.100.66
    acl self dst 127.0.0.0/8 ::1
    http-request deny status 403 if victim or self
    http-request set-path /proxied%[path]
    default_backend asked
backend asked
    server remote 0.0.0.0:0
`

const squidIntercepts = `
http_port 127.0.0.1:3128
http_port 127.0.0.1:15001 intercept
http_port [::1]:15001 intercept
visible_hostname proxy
acl victim dst 198.51.100.66 2001:db8:51::66
http_access deny victim
http_access allow all
cache deny all
access_log stdio:/dev/stdout
cache_log /dev/stderr
pid_filename none
icon_directory /etc/squid
mime_table /dev/null
unlinkd_program /usr/sbin/squid
pinger_enable off
coredump_dir none
max_filedescriptors 1024
shutdown_lifetime 0 seconds
`

func proxies(t testing.TB) []proxy {
	return []proxy{
		{name: "haproxy", image: machine.Image(t, "haproxy"), file: "/etc/haproxy/haproxy.cfg", conf: haproxyIntercepts, asks: "GET /proxied/order"},
		{name: "squid", image: machine.Image(t, "squid"), file: "/etc/squid/squid.conf", conf: squidIntercepts, asks: "GET /order", v6: true},
	}
}

// group returns a group with an app that knows of no proxy. The proxy isn't restarted after it was
// killed.
func (p proxy) group(intercept string) string {
	return fmt.Sprintf(`
group "g" {
  app "app" {
    image   = "%s"
    command = ["/attack", "serve", "127.0.0.1:7001"]
  }
  ambassador "amb" {
    image = "%s"
    file "%s" {
      content = <<EOT%sEOT
    }
    restart { policy = "never" }
    %s
  }
}
`, machine.AttackImage, p.image, p.file, p.conf, intercept)
}

const interceptBlock = `intercept { port = 15001 }`

// TestIntercept runs an unmodified client that calls remote addresses. A proxy serves it, which
// reads the original destination from the socket. The proxy refuses what its configuration forbids,
// and the kernel refuses what is not TCP. Neither is seen outside.
func TestIntercept(t *testing.T) {
	for _, p := range proxies(t) {
		t.Run(p.name, func(t *testing.T) {
			m := machine.New(t, "")
			payments := m.Payments()
			t.Cleanup(func() {
				if said, _ := m.Try("logs", "g.amb"); t.Failed() {
					t.Logf("the proxy said:\n%s", said)
				}
			})
			m.Apply("g.hcl", p.group(interceptBlock))
			fetch := func(addr string) string {
				t.Helper()
				out, err := m.Try("exec", "g.app", "--", "wget", "-q", "-O", "-", "http://"+addr+":8080/order")
				if err != nil {
					return err.Error()
				}
				return out
			}
			machine.Eventually(t, time.Minute, "the proxy answers", func() error { return machine.Contains(fetch(machine.Remote4), "receipt") })
			payments.WaitFor(t, "payment from "+machine.Host4+": "+p.asks)
			if p.v6 {
				if got := fetch("[" + machine.Remote6 + "]"); !strings.Contains(got, "receipt") {
					t.Errorf("over v6: %q", got)
				}
				payments.WaitFor(t, "payment from "+machine.Host6+": "+p.asks)
			}

			seen := machine.NewCapture(t, m.Host)
			for _, victim := range []string{machine.Victim4, "[" + machine.Victim6 + "]"} {
				if got := fetch(victim); !strings.Contains(got, "403 Forbidden") {
					t.Errorf("what the proxy forbids, %s: %q", victim, got)
				}
			}
			ns := m.Netns("g")
			for _, victim := range []string{machine.Victim4, machine.Victim6} {
				if o := attempt(t, ns, 7001, "udp", victim); o.Reply != "" || o.Error == "" {
					t.Errorf("udp to %s: %+v", victim, o)
				}
			}
			if out := seen.Take(t, func(f machine.Frame) bool { return machine.To(machine.Victim4)(f) || machine.To(machine.Victim6)(f) }); len(out) > 0 {
				t.Errorf("it got out: %v", out)
			}
			withoutIntercept(m, p, seen, fetch)
		})
	}
}

// withoutIntercept checks that members' calls are refused without the block in the file, and
// without the proxy.
func withoutIntercept(m *machine.Machine, p proxy, seen *machine.Capture, fetch func(string) string) {
	t := m.T
	t.Helper()
	refused := func(when string) {
		t.Helper()
		for _, addr := range []string{machine.Remote4, "[" + machine.Remote6 + "]"} {
			if got := fetch(addr); !strings.Contains(got, "Connection refused") {
				t.Errorf("%s a call to %s: %q", when, addr, got)
			}
		}
		if out := seen.Take(t, machine.AnyFrame); len(out) > 0 {
			t.Errorf("%s it got out: %v", when, out)
		}
	}
	before := m.Pids("g")
	m.Apply("g.hcl", p.group(""))
	seen.Take(t, machine.AnyFrame)
	refused("without intercept")
	m.Apply("g.hcl", p.group(interceptBlock))
	if got := fetch(machine.Remote4); !strings.Contains(got, "receipt") {
		t.Errorf("intercept is back: %q", got)
	}
	if out := seen.Take(t, machine.To(machine.Remote4)); len(out) == 0 {
		t.Error("the proxy's own connection was not seen at the capture, so the refusals prove nothing")
	}
	if now := m.Pids("g"); !maps.Equal(before, now) {
		t.Errorf("taking intercept out and in restarted something: %v, then %v", before, now)
	}

	if err := syscall.Kill(int(before["amb"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	machine.Eventually(t, time.Minute, "the proxy is gone", func() error {
		if pid := m.Pids("g")["amb"]; pid != 0 {
			return fmt.Errorf("it is process %d", pid)
		}
		return nil
	})
	seen.Take(t, machine.AnyFrame)
	refused("without the proxy")
}
