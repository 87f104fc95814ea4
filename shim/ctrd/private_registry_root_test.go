package ctrd

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/ctrd/registry"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

const (
	registrySecret = "a-secret-of-the-registry"
	// registryUsers is a line of htpasswd: bob with the secret, by bcrypt.
	registryUsers = "bob:$2b$04$abcdefghijklmnopqrstuuz40mhDJ8n1kTnyFuo8UgSMmt8EXrPBS\n"
)

// The distribution's registry asks for a password, or for a token of a token service. Before it
// stands a mirror that fails, and a link that breaks within a layer. The password is in no error
// and in no line of the log.
func TestRootPrivateRegistry(t *testing.T) {
	var logged bytes.Buffer
	var errs []string
	eachServer(t, func(t *testing.T, c *Client) {
		c.log, c.tryWait = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug})), time.Millisecond
		dir := t.TempDir()
		noise := make([]byte, 1<<20)
		_, _ = rand.Read(noise)
		img := ctrdtest.Build(t, busyboxImage(t).Config, ctrdtest.Tar(t, []ctrdtest.File{{Name: "noise", Mode: 0o644, Body: noise}}))
		push(t, runRegistry(t, dir, "", ""), "app", "1", img)
		authority := newAuthority(t, dir)
		writeFile(t, filepath.Join(dir, "htpasswd"), []byte(registryUsers))
		withTLS := fmt.Sprintf(", tls: {certificate: %s, key: %s}", authority.file, authority.keyFile)

		password := runRegistry(t, dir, withTLS, fmt.Sprintf("auth: {htpasswd: {realm: r, path: %s}}\n", filepath.Join(dir, "htpasswd")))
		mirror := authority.serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
		link := &breakingLink{size: int64(len(img.LayerBlobs(t)[0]))}
		relay := authority.serve(t, link.handler(authority, password).ServeHTTP)
		tokens := authority.serve(t, authority.issueToken)
		bearer := runRegistry(t, dir, withTLS, fmt.Sprintf("auth: {token: {realm: \"https://%s/token\", service: s, issuer: i, rootcertbundle: %s}}\n", tokens, authority.file))

		certs := filepath.Join(dir, "certs.d")
		for name, text := range map[string]string{
			"private.example": fmt.Sprintf("server = \"https://%s\"\nca = %q\n[host.\"https://%s\"]\nca = %q\n", relay, authority.file, mirror, authority.file),
			"tokens.example":  fmt.Sprintf("server = \"https://%s\"\nca = %q\n", bearer, authority.file),
		} {
			if err := os.MkdirAll(filepath.Join(certs, name), 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(certs, name, "hosts.toml"), []byte(text))
		}
		logins := filepath.Join(dir, "registries.json")
		c.registries = registry.New(logins, registry.Settings{Hosts: certs, MaxConcurrent: 2})
		fails := func(err error, want, advice string) {
			t.Helper()
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(hint.Of(err), advice) {
				t.Errorf("%v; hint %q; want %q, %q", err, hint.Of(err), want, advice)
			}
			errs = append(errs, fmt.Sprint(err, hint.Of(err)))
		}
		for i, problem := range []string{"(at " + mirror + ") fails", "refuses access to it"} {
			name := []string{"private.example", "tokens.example"}[i]
			ref := name + "/app:1"
			_, err := c.Image(t.Context(), ref)
			fails(err, problem, "if it needs a login: sallyport login "+name)
			login := host.RegistryLogin{Registry: name, User: "bob", Password: "not-" + registrySecret}
			_, err = c.registries.Login(t.Context(), login)
			fails(err, "refuses access to it for user \"bob\"", "log in again")
			if _, err := os.Stat(logins); name == "private.example" && err == nil {
				t.Error("a login that is refused was stored")
			}
			login.Password = registrySecret
			if name == "tokens.example" {
				login.Registry += "/app" // a part of it
			}
			if _, err := c.registries.Login(t.Context(), login); err != nil {
				t.Fatal(err)
			}
			checkUsable(t, c, mustImage(t, c, ref))
		}
		if sent := link.sent.Load(); link.cuts.Load() == 0 || sent >= 2*link.size {
			t.Errorf("%d cuts; %d bytes of a layer of %d", link.cuts.Load(), sent, link.size)
		}
		if left, err := c.leases(t); err != nil || len(left) != 0 {
			t.Errorf("leases left: %v, %v", left, err)
		}
	})
	for _, text := range append(errs, logged.String()) {
		if strings.Contains(text, registrySecret) {
			t.Errorf("the password is in: %s", text)
		}
	}
	if !strings.Contains(logged.String(), "pulled an image") {
		t.Error("nothing was logged, so this test shows nothing")
	}
}

// A breakingLink passes a registry on, and breaks off once after half of a layer of that size.
type breakingLink struct {
	size       int64
	cuts, sent atomic.Int64
}

func (l *breakingLink) handler(a *authority, to string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "https", Host: to})
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: a.pool}, DisableKeepAlives: true}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodGet && r.ContentLength > l.size/4 {
			r.Body = &brokenBody{ReadCloser: r.Body, link: l, breaks: l.cuts.CompareAndSwap(0, 1)}
		}
		return nil
	}
	return proxy
}

type brokenBody struct {
	io.ReadCloser
	link   *breakingLink
	breaks bool
	read   int64
}

func (b *brokenBody) Read(p []byte) (int, error) {
	if b.breaks && b.read > b.link.size/2 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), 16<<10)])
	b.read += int64(n)
	b.link.sent.Add(int64(n))
	return n, err
}

// An authority has signed itself, and is the certificate of every server on loopback.
type authority struct {
	file, keyFile string
	der           []byte
	key           *ecdsa.PrivateKey
	pool          *x509.CertPool
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(dir, "ca.pem"), keyFile: filepath.Join(dir, "ca.key"), pool: x509.NewCertPool()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if a.der, err = x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key); err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.der})
	a.pool.AppendCertsFromPEM(cert)
	writeFile(t, a.file, cert)
	writeFile(t, a.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	return a
}

// serve serves with the authority's certificate, and returns the address.
func (a *authority) serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{a.der}, PrivateKey: a.key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// issueToken is a token service: it lets bob pull everything.
func (a *authority) issueToken(w http.ResponseWriter, r *http.Request) {
	user, password, _ := r.BasicAuth()
	if r.Method == http.MethodPost {
		user, password = r.PostFormValue("username"), r.PostFormValue("password")
	}
	if user != "" && password != registrySecret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	access := []map[string]any{}
	if user == "bob" {
		access = append(access, map[string]any{"type": "repository", "name": "app", "actions": []string{"pull"}})
	}
	now := time.Now().Unix()
	part := func(v any) string {
		text, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	token := part(map[string]any{"typ": "JWT", "alg": "ES256", "x5c": []string{base64.StdEncoding.EncodeToString(a.der)}}) + "." +
		part(map[string]any{"iss": "i", "aud": "s", "sub": user, "nbf": now - 60, "iat": now - 60, "exp": now + 3600, "jti": "1", "access": access})
	sum := sha256.Sum256([]byte(token))
	x, y, err := ecdsa.Sign(rand.Reader, a.key, sum[:])
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	signature := append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...)
	token += "." + base64.RawURLEncoding.EncodeToString(signature)
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "access_token": token, "expires_in": 3600})
}
