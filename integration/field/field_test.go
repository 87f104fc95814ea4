package field

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// A trial is a group that is run, and what it is asked. ask applies it.
type trial struct {
	group string
	door  string // an address that the ambassador's list has; empty without a list, or nowhere
	ask   func(w *world)
	job   bool // it ends, so ask judges its door
	twice bool // the check of the door is checked, too: it has no list
}

var trials = []trial{
	{group: "postgres", door: nowhere, ask: postgres},
	{group: "redis", door: nowhere, ask: redis},
	{group: "mosquitto", door: "198.51.100.83:1883", ask: mosquitto},
	{group: "prometheus", door: "198.51.100.92:8080", ask: prometheus},
	{group: "nginx-tls", door: nowhere, ask: nginxTLS},
	{group: "haproxy-balancer", door: nowhere, ask: balancer},
	{group: "squid", ask: squid, twice: true},
	{group: "dnsmasq", door: machine.NameServer4 + ":53", ask: dnsmasq},
	{group: "rsyslog", door: "198.51.100.84:6514", ask: rsyslog},
	{group: "stunnel-client", door: "198.51.100.85:6379", ask: stunnelClient},
	{group: "telegram-bot", ask: telegramBot},
	{group: "node-web", door: nowhere, ask: nodeWeb},
	{group: "chromium", ask: chromium},
	{group: "restic", ask: restic, job: true},
	{group: "build-sandbox", ask: buildSandbox, job: true},
	{group: "agent-sandbox", ask: agentSandbox},
	{group: "static-site", door: nowhere, ask: staticSite},
	{group: "blackbox", door: "198.51.100.87:8080", ask: blackbox},
	{group: "memcached", door: nowhere, ask: memcached},
	{group: "pushgateway", door: nowhere, ask: pushgateway},
	{group: "nginx-php", door: "198.51.100.93:8080", ask: nginxPHP},
}

// TestField runs each group of the table on a machine of its own, asks it, and tries to leave it.
func TestField(t *testing.T) {
	if os.Getenv("SALLYPORT_FIELD") == "" || machine.Binary == "" {
		machine.Need(t, "needs images of its own; run: make test-field")
	}
	for _, tt := range trials {
		t.Run(tt.group, func(t *testing.T) {
			w := newWorld(t, tt.group)
			tt.ask(w)
			w.checkSecrets()
			if !tt.job {
				w.checkDoor(tt.door)
			}
			if tt.twice {
				w.checkDoorCheck()
			}
		})
	}
}

const password = "Correct-Horse-7"

func postgres(w *world) {
	w.apply("password=" + w.secret("shop-db", password))
	query := func(password string) (string, error) {
		const psql = `read -r PGPASSWORD; export PGPASSWORD
			exec /usr/lib/postgresql/15/bin/psql -h 127.0.0.1 -U shop -d postgres -Atc "select 'name ' || current_user || ', ' || (40 + 2)"`
		return w.Feed(password+"\n", "exec", "-i", w.group+".postgres", "--", "/bin/sh", "-c", psql)
	}
	if out, err := query(password); err != nil || out != "name shop, 42\n" {
		w.t.Errorf("a query: %q, %v", out, err)
	}
	if out, err := query("wrong"); err == nil {
		w.t.Errorf("a query with a wrong password: %q", out)
	}
	w.get(w.Remote, "http://"+machine.Host4+":9187/metrics", "pg_up 1", `pg_database_size_bytes{datname="postgres"`)
	// The first words of a client (SSLRequest), and PostgreSQL's no.
	c, err := w.dial(5432)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, 1)
	if _, err := c.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		w.t.Error(err)
	}
	if _, err := c.Read(answer); err != nil || answer[0] != 'N' {
		w.t.Errorf("PostgreSQL from elsewhere: %q, %v", answer, err)
	}
}

func redis(w *world) {
	w.certify("cache", "cache.example")
	w.hide(filepath.Join(w.tls, "cache.key"))
	client := w.certify("client")
	w.apply("password="+w.secret("cache", password), "tls="+w.tls)
	talk := func(port int, certificates []tls.Certificate, text string) (string, error) {
		c, err := w.dial(port)
		if err != nil {
			return "", err
		}
		defer c.Close()
		config := w.trust("cache.example")
		config.Certificates = certificates
		s := tls.Client(c, config)
		if _, err := fmt.Fprint(s, text); err != nil {
			return "", err
		}
		var said strings.Builder
		for lines := bufio.NewScanner(s); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
		}
		return said.String(), nil
	}
	const work = "AUTH " + password + "\r\nSET answer 42\r\nGET answer\r\nQUIT\r\n"
	if out, err := talk(6380, []tls.Certificate{client}, work); err != nil || out != "+OK\n+OK\n$2\n42\n+OK\n" {
		w.t.Errorf("Redis by TLS: %q, %v", out, err)
	}
	if out, err := talk(6380, []tls.Certificate{client}, "GET answer\r\nQUIT\r\n"); !strings.HasPrefix(out, "-NOAUTH") {
		w.t.Errorf("without the password: %q, %v", out, err)
	}
	if out, err := talk(6380, nil, work); out != "" {
		w.t.Errorf("without a certificate: %q, %v", out, err)
	}
	out, err := talk(9121, []tls.Certificate{client}, "GET /metrics HTTP/1.0\r\n\r\n")
	if err := machine.Contains(out, "redis_up 1"); err != nil {
		w.t.Error(err)
	}
	if err != nil {
		w.t.Error(err)
	}
}

// mosquitto publishes from elsewhere and finds the message in the broker and at the plant's.
func mosquitto(w *world) {
	plant := &machine.Output{}
	go each(w.listen("198.51.100.83:1883"), func(c net.Conn, r *bufio.Reader) {
		if _, err := c.Write([]byte{0x20, 2, 0, 0}); err != nil { // CONNACK
			return
		}
		_, _ = r.WriteTo(plant)
	})
	w.apply()
	plant.WaitFor(w.t, "MQTT", "hall")
	c, err := w.dial(1883)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	connect := "\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04oven"
	publish := "\x31\x0f\x00\x08oven/one215 C"
	if _, err := fmt.Fprint(c, connect+publish); err != nil {
		w.t.Fatal(err)
	}
	w.execs("mosquitto", "mosquitto_sub -t oven/one -C 1 -W 20", "215 C")
	plant.WaitFor(w.t, "hall/oven/one", "215 C")
}

// prometheus has a router that is not there yet, for which the pager is called, and then is.
func prometheus(w *world) {
	pager := &machine.Output{}
	w.serve(w.listen("198.51.100.92:8080"), func(_ http.ResponseWriter, r *http.Request) {
		body := bufio.NewReader(r.Body)
		_, _ = body.WriteTo(pager)
	})
	w.apply()
	pager.WaitFor(w.t, "router does not answer")
	w.page("198.51.100.91:9100", "router_up 1\n")
	const query = "http://" + machine.Host4 + ":9090/api/v1/query?query="
	w.get(w.Remote, query+"router_up", `"status":"success"`, `"router"`)
	w.get(w.Remote, query+"node_load1", `"job":"node"`)
	if strings.Contains(pager.String(), "node does not answer") {
		w.t.Errorf("the pager was called for the node: %s", pager)
	}
}

func nginxTLS(w *world) {
	w.certify("site", "site.example")
	w.hide(filepath.Join(w.tls, "site.key"))
	w.apply("tls=" + w.tls)
	w.get(w.Remote, "https://site.example/", "200 OK", "hello 192.0.2.2 by https")
	w.get(w.Remote, "http://"+machine.Host4+"/shop?x=1", "301", "Location: https://"+machine.Host4+"/shop?x=1")
	serial := func() (number string) {
		machine.Eventually(w.t, time.Minute, "the site's certificate", func() error {
			c, err := w.dial(443)
			if err != nil {
				return err
			}
			defer c.Close()
			s := tls.Client(c, w.trust("site.example"))
			if err := s.Handshake(); err != nil {
				return err
			}
			number = s.ConnectionState().PeerCertificates[0].SerialNumber.String()
			return nil
		})
		return number
	}
	before, pids := serial(), w.Pids(w.group)
	w.certify("site", "site.example")
	w.hide(filepath.Join(w.tls, "site.key"))
	machine.Eventually(w.t, time.Minute, "the renewed certificate is served", func() error {
		if serial() == before {
			return fmt.Errorf("still %s", before)
		}
		return nil
	})
	if now := w.Pids(w.group); now["nginx"] != pids["nginx"] || now["web"] != pids["web"] {
		w.t.Errorf("a renewed certificate restarted the group: %v, %v", pids, now)
	}
}

func balancer(w *world) {
	w.apply()
	const site = "http://" + machine.Host4 + ":8080/"
	w.get(w.Remote, site, "blue")
	w.get(w.Remote, site, "green")
	w.get(w.Host, "http://127.0.0.1:8404/metrics", "haproxy_server_status")
	w.Run("restart", w.group+".blue")
	w.get(w.Remote, site, "blue")
}

func squid(w *world) {
	w.ServeNames(w.t, map[string]netip.Addr{"packages.example.com": netip.MustParseAddr("198.51.100.87"), "evil.example.net": netip.MustParseAddr("198.51.100.87")})
	w.page("198.51.100.87:8080", "index of packages\n")
	w.apply()
	w.execs("agent", "wget -q -O - http://packages.example.com:8080/index", "index of packages")
	if out, err := w.exec("agent", "wget", "-q", "-O", "-", "http://evil.example.net:8080/"); err == nil || !strings.Contains(err.Error(), "403") {
		w.t.Errorf("a host that is not listed: %q, %v", out, err)
	}
}

func dnsmasq(w *world) {
	dns := w.ServeNames(w.t, map[string]netip.Addr{"www.example.com": netip.MustParseAddr("198.51.100.87"), "secret.example.net": netip.MustParseAddr("198.51.100.87")})
	w.apply()
	w.execs("client", "nslookup www.example.com", "198.51.100.87")
	if out, err := w.exec("client", "nslookup", "secret.example.net"); err == nil {
		w.t.Errorf("a name that is not listed: %q", out)
	}
	if err := dns.Asked("udp www.example.com"); err != nil {
		w.t.Error(err)
	}
	if dns.Asked("udp secret.example.net") == nil {
		w.t.Error("a name that is not listed was asked for elsewhere")
	}
}

func rsyslog(w *world) {
	collector := &machine.Output{}
	go each(w.listen("198.51.100.84:6514"), func(_ net.Conn, r *bufio.Reader) { _, _ = r.WriteTo(collector) })
	w.apply()
	collector.WaitFor(w.t, "<134>", "shop: order 1\n", "<131>", "shop: stock is low\n")
}

func stunnelClient(w *world) {
	service := w.certify("service", "service.example.com")
	w.certify("client")
	w.hide(filepath.Join(w.tls, "client.key"))
	config := w.trust("")
	config.Certificates, config.ClientAuth, config.ClientCAs = []tls.Certificate{service}, tls.RequireAndVerifyClientCert, config.RootCAs
	asked := &machine.Output{}
	go each(tls.NewListener(w.listen("198.51.100.85:6379"), config), func(c net.Conn, r *bufio.Reader) {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		fmt.Fprintf(asked, "%s asks %s", c.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName, line)
		fmt.Fprintln(c, "pong")
	})
	w.apply("tls=" + w.tls)
	asked.WaitFor(w.t, "client asks ping\n")
	machine.Eventually(w.t, time.Minute, "the answer comes back", func() error {
		return machine.Contains(w.Run("logs", w.group+".legacy"), "pong")
	})
}
