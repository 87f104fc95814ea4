package integration

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A proxy is one of Debian's that members' TCP is led to. It answers 403 for the victim's addresses.
type proxy struct {
	name  string
	image string
	file  string // where it has its configuration
	conf  string
	asks  string // what it asks the world for /order
	v6    bool   // it reads the original destination of IPv6 as well
}

// haproxyIntercepts: it knows where a connection was meant to go over IPv4. What it takes for its own address, as every one
// over IPv6, it must not call, or it calls itself.
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
    server world 0.0.0.0:0
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
		{name: "haproxy", image: image(t, "haproxy"), file: "/etc/haproxy/haproxy.cfg", conf: haproxyIntercepts, asks: "GET /proxied/order"},
		{name: "squid", image: image(t, "squid"), file: "/etc/squid/squid.conf", conf: squidIntercepts, asks: "GET /order", v6: true},
	}
}

// group has an app that knows nothing of a proxy, and a proxy that stays away once it is killed.
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
`, attackImage, p.image, p.file, p.conf, intercept)
}

const led = `intercept { port = 15001 }`

// TestIntercept: an unmodified client calls addresses of the world and is served by a proxy that reads from the socket where
// it wanted to go. What the proxy forbids the proxy refuses, what is not TCP the kernel; neither is seen outside.
func TestIntercept(t *testing.T) {
	for _, p := range proxies(t) {
		t.Run(p.name, func(t *testing.T) {
			m := newMachine(t, "")
			world := m.payments()
			t.Cleanup(func() {
				if said, _ := m.try("logs", "g.amb"); t.Failed() {
					t.Logf("the proxy said:\n%s", said)
				}
			})
			m.apply("g.hcl", p.group(led))
			fetch := func(addr string) string {
				t.Helper()
				out, err := m.try("exec", "g.app", "--", "wget", "-q", "-O", "-", "http://"+addr+":8080/order")
				if err != nil {
					return err.Error()
				}
				return out
			}
			eventually(t, 10*time.Second, "the proxy answers", func() error { return says(fetch(world4), "receipt") })
			world.waitFor(t, "payment from "+host4+": "+p.asks)
			if p.v6 {
				if got := fetch("[" + world6 + "]"); !strings.Contains(got, "receipt") {
					t.Errorf("over v6: %q", got)
				}
				world.waitFor(t, "payment from "+host6+": "+p.asks)
			}

			seen := newCapture(t, m.host)
			for _, victim := range []string{victim4, "[" + victim6 + "]"} {
				if got := fetch(victim); !strings.Contains(got, "403 Forbidden") {
					t.Errorf("what the proxy forbids, %s: %q", victim, got)
				}
			}
			ns := m.netns("g")
			for _, victim := range []string{victim4, victim6} {
				if o := attempt(t, ns, 7001, "udp", victim); o.Reply != "" || o.Error == "" {
					t.Errorf("udp to %s: %+v", victim, o)
				}
			}
			if out := seen.take(t, func(f frame) bool { return to(victim4)(f) || to(victim6)(f) }); len(out) > 0 {
				t.Errorf("it got out: %v", out)
			}
			m.notLed(p, seen, fetch)
		})
	}
}

// notLed: without the line in the file, and without the proxy, members' calls end where they began.
func (m *machine) notLed(p proxy, seen *capture, fetch func(string) string) {
	t := m.t
	t.Helper()
	refused := func(when string) {
		t.Helper()
		for _, addr := range []string{world4, "[" + world6 + "]"} {
			if got := fetch(addr); !strings.Contains(got, "Connection refused") {
				t.Errorf("%s a call to %s: %q", when, addr, got)
			}
		}
		if out := seen.take(t, anyFrame); len(out) > 0 {
			t.Errorf("%s it got out: %v", when, out)
		}
	}
	before := m.pids("g")
	m.apply("g.hcl", p.group(""))
	seen.take(t, anyFrame)
	refused("without intercept")
	m.apply("g.hcl", p.group(led))
	if got := fetch(world4); !strings.Contains(got, "receipt") {
		t.Errorf("intercept is back: %q", got)
	}
	if out := seen.take(t, to(world4)); len(out) == 0 {
		t.Error("the proxy's own connection was not seen at the capture, so the refusals prove nothing")
	}
	if now := m.pids("g"); !equal(before, now) {
		t.Errorf("taking intercept out and in restarted something: %v, then %v", before, now)
	}

	if err := syscall.Kill(int(before["amb"]), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 5*time.Second, "the proxy is gone", func() error {
		if pid := m.pids("g")["amb"]; pid != 0 {
			return fmt.Errorf("it is process %d", pid)
		}
		return nil
	})
	seen.take(t, anyFrame)
	refused("without the proxy")
}
