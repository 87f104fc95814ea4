package field

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netns"

	"github.com/sallyport/sallyport/integration/machine"
)

// A world is a machine with a daemon, and what the groups find elsewhere.
type world struct {
	*machine.Machine
	t     *testing.T
	group string
	seen  *machine.Capture
	tls   string // a folder of certificates
	ca    *x509.Certificate
	key   *ecdsa.PrivateKey

	vars   []string // that the group was applied with
	values []string // of its secrets
}

func newWorld(t *testing.T, group string) *world {
	t.Helper()
	w := &world{Machine: machine.New(t, ""), t: t, group: group, tls: t.TempDir()}
	w.seen = machine.NewCapture(t, w.Host)
	return w
}

// apply applies the group's file with values of the operator, and shows what its containers printed
// if that, or the test after it, fails.
func (w *world) apply(vars ...string) {
	w.t.Helper()
	w.t.Cleanup(func() {
		if w.t.Failed() {
			w.t.Logf("the group:\n%s\n%s", w.All("status", w.group), w.All("logs", "-n", "40", w.group))
		}
	})
	w.vars = vars
	w.Run(w.command("apply", vars...)...)
	w.AwaitRunning(w.group)
}

// secret writes the value of a secret into a file that root alone can read, and returns its path.
func (w *world) secret(name, value string) string {
	w.t.Helper()
	path := filepath.Join(w.tls, name)
	w.write(path, []byte(value+"\n"), 0o600)
	w.hide(path)
	return path
}

// hide has checkSecrets look for the lines of a file with a secret.
func (w *world) hide(path string) {
	w.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); len(line) >= len(password) && !strings.HasPrefix(line, "-----") {
			w.values = append(w.values, line)
		}
	}
}

// checkSecrets looks for the values of the group's secrets wherever they must not be.
func (w *world) checkSecrets() {
	w.t.Helper()
	if len(w.values) > 0 {
		w.CheckHidden(w.t, w.group, w.values, w.command("plan", w.vars...))
	}
}

// write puts a file in the place of an earlier one, as an operator should.
func (w *world) write(path string, text []byte, mode os.FileMode) {
	w.t.Helper()
	if err := errors.Join(os.WriteFile(path+".new", text, mode), os.Rename(path+".new", path)); err != nil {
		w.t.Fatal(err)
	}
}

// command returns a command line for the group's file, with values of its variables.
func (w *world) command(verb string, vars ...string) []string {
	args := []string{verb}
	for _, v := range vars {
		args = append(args, "--var", v)
	}
	return append(args, filepath.Join("groups", w.group+".hcl"))
}

// exec runs a command in a container of the group, and returns what it printed.
func (w *world) exec(container string, command ...string) (string, error) {
	return w.Try(append([]string{"exec", w.group + "." + container, "--"}, command...)...)
}

// execs waits until a command in a container prints all words.
func (w *world) execs(container, command string, words ...string) {
	w.t.Helper()
	machine.Eventually(w.t, time.Minute, command, func() error {
		out, err := w.exec(container, "/bin/sh", "-c", command)
		return errors.Join(err, machine.Contains(out, words...))
	})
}

// get asks by HTTP from a host until the answer has all words, and returns it with its headers.
func (w *world) get(from netns.NsHandle, url string, words ...string) string {
	w.t.Helper()
	return w.ask(from, http.MethodGet, url, words...)
}

func (w *world) ask(from netns.NsHandle, method, url string, words ...string) (answer string) {
	w.t.Helper()
	machine.Eventually(w.t, time.Minute, method+" "+url, func() error {
		request, err := http.NewRequest(method, url, strings.NewReader(""))
		if err != nil {
			return err
		}
		r, err := w.client(from).Do(request)
		if err != nil {
			return err
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		var b strings.Builder
		fmt.Fprintln(&b, r.Proto, r.Status)
		_ = r.Header.Write(&b)
		answer = b.String() + "\n" + string(body)
		for _, word := range words {
			if !strings.Contains(answer, word) {
				err = errors.Join(err, fmt.Errorf("no %q in %.2000s", word, answer))
			}
		}
		return err
	})
	return answer
}

// client returns a client of a host that trusts the world's authority, knows site.example as this
// host, and follows no redirect.
func (w *world) client(from netns.NsHandle) *http.Client {
	transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: w.trust("site.example")}
	transport.DialContext = func(_ context.Context, network, addr string) (c net.Conn, err error) {
		addr = strings.Replace(addr, "site.example", machine.Host4, 1)
		err = machine.InNetns(from, func() error { c, err = net.DialTimeout(network, addr, 10*time.Second); return err })
		return c, err
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// trust returns the configuration of a TLS client that trusts the world's authority.
func (w *world) trust(server string) *tls.Config {
	config := &tls.Config{ServerName: server}
	if w.ca != nil {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AddCert(w.ca)
	}
	return config
}

// certify writes NAME.crt and NAME.key into the folder tls, for servers and clients of the names,
// both as NAME.pem, and ca.crt beside them. It returns the pair.
func (w *world) certify(name string, hosts ...string) tls.Certificate {
	w.t.Helper()
	must := func(err error) {
		if err != nil {
			w.t.Helper()
			w.t.Fatal(err)
		}
	}
	now := time.Now()
	if w.ca == nil {
		var err error
		w.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the test"}, NotBefore: now.Add(-time.Hour),
			NotAfter: now.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &w.key.PublicKey, w.key)
		must(err)
		w.ca, err = x509.ParseCertificate(der)
		must(err)
		w.write(filepath.Join(w.tls, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, w.ca, &key.PublicKey, w.key)
	must(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	must(err)
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pk := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	w.write(filepath.Join(w.tls, name+".crt"), crt, 0o644)
	w.write(filepath.Join(w.tls, name+".key"), pk, 0o600)
	w.write(filepath.Join(w.tls, name+".pem"), slices.Concat(crt, pk), 0o600)
	pair, err := tls.X509KeyPair(crt, pk)
	must(err)
	return pair
}

// listen listens on an address of the remote host until the test ends.
func (w *world) listen(addr string) (l net.Listener) {
	w.t.Helper()
	machine.MustInNetns(w.t, w.Remote, func() (err error) { l, err = net.Listen("tcp", addr); return err })
	w.t.Cleanup(func() { l.Close() })
	return l
}

// serve answers HTTP on a listener until the test ends.
func (w *world) serve(l net.Listener, answer http.HandlerFunc) {
	server := &http.Server{Handler: answer}
	go func() { _ = server.Serve(l) }()
	w.t.Cleanup(func() { _ = server.Close() })
}

// page answers each request on an address of the remote host with a text.
func (w *world) page(addr, text string) {
	w.t.Helper()
	w.serve(w.listen(addr), func(r http.ResponseWriter, _ *http.Request) { fmt.Fprint(r, text) })
}

// each calls talk for each connection of a listener, with a reader of it.
func each(l net.Listener, talk func(net.Conn, *bufio.Reader)) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			talk(c, bufio.NewReader(c))
		}()
	}
}

// dial connects from the remote host to a port of the host under test.
func (w *world) dial(port int) (net.Conn, error) {
	var c net.Conn
	err := machine.InNetns(w.Remote, func() (err error) {
		c, err = net.DialTimeout("tcp", net.JoinHostPort(machine.Host4, fmt.Sprint(port)), 10*time.Second)
		return err
	})
	if err == nil {
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	}
	return c, err
}
