package field

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
)

// serveAPI answers HTTPS as a name, on port 443 of an address of the remote host, and has the
// group's name server know it.
func (w *world) serveAPI(name, addr string, answer http.HandlerFunc) {
	w.t.Helper()
	w.ServeNames(w.t, map[string]netip.Addr{name: netip.MustParseAddr(addr)})
	w.serve(tls.NewListener(w.listen(addr+":443"), &tls.Config{Certificates: []tls.Certificate{w.certify("api", name)}}), answer)
}

// telegramBot has one message for the bot, and waits for its answer.
func telegramBot(w *world) {
	said := &machine.Output{}
	var once sync.Once
	w.serveAPI("api.telegram.example", "198.51.100.90", func(r http.ResponseWriter, q *http.Request) {
		switch body, _ := io.ReadAll(q.Body); q.URL.Path {
		case "/bot" + password + "/getUpdates":
			answer := `{"result": []}`
			once.Do(func() {
				answer = `{"result": [{"update_id": 7, "message": {"text": "open the gate", "chat": {"id": 1}}}]}`
			})
			fmt.Fprint(r, answer)
		case "/bot" + password + "/sendMessage":
			_, _ = said.Write(body)
			fmt.Fprint(r, `{"result": {}}`)
		default:
			r.WriteHeader(http.StatusUnauthorized)
		}
	})
	w.apply("token="+w.secret("bot", password), "ca="+filepath.Join(w.tls, "ca.crt"))
	said.WaitFor(w.t, "OPEN THE GATE")
	const other = `import socket, ssl
c = ssl.create_default_context().wrap_socket(socket.create_connection(("api.telegram.example", 443)), server_hostname="evil.example")`
	if out, err := w.exec("bot", "/usr/bin/python3.11", "-c", other); err == nil {
		w.t.Errorf("TLS to another name passed the door: %s", out)
	}
}

func nodeWeb(w *world) {
	w.apply()
	for n := 1; n <= 2; n++ {
		w.get(w.Remote, "http://"+machine.Host4+":3080/", fmt.Sprintf("visit %d", n))
	}
}

// chromium looks at a page that a script makes.
func chromium(w *world) {
	w.ServeNames(w.t, map[string]netip.Addr{"www.shop.example": netip.MustParseAddr("198.51.100.90"), "evil.example": netip.MustParseAddr("198.51.100.90")})
	asked := &machine.Output{}
	w.serve(w.listen("198.51.100.90:8080"), func(r http.ResponseWriter, q *http.Request) {
		fmt.Fprintln(asked, q.Host, q.URL.Path)
		r.Header().Set("Content-Type", "text/html")
		fmt.Fprint(r, `<p id="price"></p><script>document.getElementById("price").textContent = "price " + 6 * 7</script>`)
	})
	w.apply()
	w.execs("browser", "$CHROMIUM --dump-dom http://www.shop.example:8080/list", `<p id="price">price 42</p>`)
	out, err := w.exec("browser", "/bin/sh", "-c", "$CHROMIUM --dump-dom http://evil.example:8080/")
	if strings.Contains(out, "price") || strings.Contains(asked.String(), "evil.example") {
		w.t.Errorf("a host that is not listed: %s, %v; asked: %s", out, err, asked)
	}
}

// restic runs the backup as the schedule would, and again without a change. Its server is one of
// the test's, with restic's REST interface.
func restic(w *world) {
	folder := filepath.Join(w.Root, "shop")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "orders.csv"), []byte(strings.Repeat("order 1,42\n", 1000)), 0o600); err != nil {
		w.t.Fatal(err)
	}
	server := &backups{blobs: map[string][]byte{}}
	w.serve(w.listen("198.51.100.86:8000"), server.answer)
	vars := []string{"password=" + w.secret("backup", password), "folder=" + folder}
	for n := 1; n <= 2; n++ {
		if out := w.Run(w.command("run", vars...)...); !strings.Contains(out, "snapshot ") || !strings.Contains(out, " saved") {
			w.t.Errorf("backup %d: %s", n, out)
		}
		if got := server.count("snapshots"); got != n {
			w.t.Errorf("%d snapshots after %d backups", got, n)
		}
	}
	w.vars = vars
	w.Run(w.command("apply", vars...)...)
	if err := machine.Contains(w.Run("ps"), "restic", "scheduled"); err != nil {
		w.t.Error(err)
	}
	// Nothing of the runs went anywhere else.
	all, server4 := 0, machine.To("198.51.100.86")
	for _, f := range w.seen.Take(w.t, machine.AnyFrame) {
		if all++; !server4(f) {
			w.t.Errorf("the backup sent out %v", f)
		}
	}
	if all == 0 {
		w.t.Error("the control: the backup itself was not seen")
	}
}

// backups keeps what restic sends, by its REST interface (version 1).
type backups struct {
	mu    sync.Mutex
	blobs map[string][]byte // "snapshots/abc"
}

func (b *backups) count(folder string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name := range b.blobs {
		if strings.HasPrefix(name, folder+"/") {
			n++
		}
	}
	return n
}

func (b *backups) answer(r http.ResponseWriter, q *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := strings.TrimPrefix(q.URL.Path, "/shop/")
	blob, known := b.blobs[name]
	switch {
	case q.Method == http.MethodPost && name == "":
	case q.Method == http.MethodPost:
		body, err := io.ReadAll(q.Body)
		if err != nil {
			r.WriteHeader(http.StatusBadRequest)
			return
		}
		b.blobs[name] = body
	case q.Method == http.MethodDelete:
		delete(b.blobs, name)
	case strings.HasSuffix(name, "/"):
		names := []string{}
		for n := range b.blobs {
			if file, ok := strings.CutPrefix(n, name); ok {
				names = append(names, file)
			}
		}
		_ = json.NewEncoder(r).Encode(names)
	case !known:
		r.WriteHeader(http.StatusNotFound)
	default:
		http.ServeContent(r, q, "", time.Time{}, strings.NewReader(string(blob)))
	}
}

// buildSandbox runs a build that tries to leave. A sealed group has no link, so nothing of it can
// be seen on the host's side. The control is the same call by the test on the host.
func buildSandbox(w *world) {
	in, out := filepath.Join(w.Root, "in"), filepath.Join(w.Root, "out")
	for _, dir := range []string{in, out} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			w.t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil { // whatever the umask is
			w.t.Fatal(err)
		}
	}
	const build = `import py_compile, socket, sys
for family, to in (socket.AF_INET, "` + machine.Victim4 + `"), (socket.AF_INET6, "` + machine.Victim6 + `"):
    try:
        socket.socket(family).connect((to, 80))
        print("reached", to)
    except OSError as problem:
        print("not reached", to, problem)
py_compile.compile("/in/build.py", sys.argv[1] + "/build.pyc")
open("/in/hello", "w")
`
	if err := os.WriteFile(filepath.Join(in, "build.py"), []byte(build), 0o644); err != nil {
		w.t.Fatal(err)
	}
	said, err := w.Try(w.command("run", "sources="+in, "result="+out)...)
	if err == nil || !strings.Contains(err.Error(), "Read-only file system: '/in/hello'") {
		w.t.Errorf("the build wrote to its sources: %v", err)
	}
	if strings.Contains(strings.ReplaceAll(said, "not reached", ""), "reached") || strings.Count(said, "not reached") != 2 {
		w.t.Errorf("the build left its sandbox: %s", said)
	}
	if info, err := os.Stat(filepath.Join(out, "build.pyc")); err != nil || info.Size() == 0 {
		w.t.Errorf("the build left no result: %v", err)
	}
	for _, to := range []string{machine.Victim4, machine.Victim6} {
		if !machine.Reached(w.t, w.Host, "tcp", to, 80) {
			w.t.Errorf("the control: the host does not reach %s, so the build's denial proves nothing", to)
		}
	}
}

// agentSandbox calls a listed name and another one, each at an address of the agent's choice.
func agentSandbox(w *world) {
	w.serveAPI("api.example.com", "198.51.100.90", func(r http.ResponseWriter, q *http.Request) { fmt.Fprint(r, "answer to "+q.Host) })
	w.apply()
	const call = `import http.client, socket, ssl
class Call(http.client.HTTPSConnection):
    def connect(self):
        self.sock = ssl._create_unverified_context().wrap_socket(socket.create_connection(("%s", 443)), server_hostname=self.host)
c = Call("%s")
c.request("GET", "/")
print(c.getresponse().read())`
	python := func(script string) (string, error) { return w.exec("agent", "/usr/bin/python3.11", "-c", script) }
	machine.Eventually(w.t, time.Minute, "the listed name answers", func() error {
		out, err := python(fmt.Sprintf(call, "203.0.113.9", "api.example.com"))
		if err != nil {
			return err
		}
		return machine.Contains(out, "answer to api.example.com")
	})
	if out, err := python(fmt.Sprintf(call, "198.51.100.90", "evil.example.com")); err == nil {
		w.t.Errorf("a name that is not listed: %s", out)
	}
}

func staticSite(w *world) {
	w.apply()
	first := w.get(w.Remote, "http://"+machine.Host4+":8081/", "200 OK", "Content-Type: text/html", "page ")
	machine.Eventually(w.t, time.Minute, "the next page is there", func() error {
		if w.get(w.Remote, "http://"+machine.Host4+":8081/", "page ") == first {
			return fmt.Errorf("still %s", first)
		}
		return nil
	})
	if out, err := w.exec("nginx", "/bin/touch", "/site/mine"); err == nil || !strings.Contains(err.Error(), "Read-only file system") {
		w.t.Errorf("nginx wrote to the site: %s, %v", out, err)
	}
}

func blackbox(w *world) {
	w.page("198.51.100.87:8080", "up\n")
	w.page("198.51.100.90:8080", "up, too\n")
	w.apply()
	const probe = "http://" + machine.Host4 + ":9115/probe?module=http&target="
	w.get(w.Remote, probe+"198.51.100.87:8080", "probe_success 1", "probe_http_status_code 200")
	w.get(w.Remote, probe+"198.51.100.88:8080", "probe_success 0") // nothing listens there
	w.get(w.Remote, probe+"198.51.100.90:8080", "probe_success 0") // not in the list
}

func memcached(w *world) {
	w.apply()
	w.get(w.Remote, "http://"+machine.Host4+":8082/", "42 computed")
	w.get(w.Remote, "http://"+machine.Host4+":8082/", "42 from the cache")
}

func pushgateway(w *world) {
	w.apply()
	w.get(w.Remote, "http://"+machine.Host4+":9091/metrics", `report_runs{instance="",job="report"}`)
	w.ask(w.Remote, http.MethodPost, "http://"+machine.Host4+":9091/metrics", "403 Forbidden")
}

// nginxPHP has the warehouse at the end of the door, which wants PHP's key.
func nginxPHP(w *world) {
	w.serve(w.listen("198.51.100.93:8080"), func(r http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Authorization") != "Bearer "+password {
			r.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(r, "7 of "+q.FormValue("item"))
	})
	w.certify("site", "site.example")
	w.hide(filepath.Join(w.tls, "site.key"))
	w.apply("tls="+w.tls, "key="+w.secret("warehouse", password))
	w.get(w.Remote, "https://site.example/?item=chair", "200 OK", "left: 7 of chair")
	w.get(w.Remote, "https://site.example/style.css", "200 OK", "Content-Type: text/css", "max-width")
	w.secret("warehouse", "it is another key by now")
	w.get(w.Remote, "https://site.example/?item=chair", "ask us by telephone")
}
