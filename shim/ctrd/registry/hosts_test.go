package registry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// writeHosts writes the files of a registry's folder and returns their root. The name of a file may
// end in "!", which others than root may write.
func writeHosts(t *testing.T, registry string, files map[string]string) (root string) {
	t.Helper()
	root = t.TempDir()
	folder := filepath.Join(root, registry)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, strings.TrimSuffix(name, "!"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "!") {
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

// selfSigned returns a certificate for clients and its key, as PEM.
func selfSigned(t *testing.T) (cert, key string) {
	t.Helper()
	return selfSignedFor(t, time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
}

// selfSignedFor returns a certificate that is valid between two times, and its key.
func selfSignedFor(t *testing.T, begin, end time.Time) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: end}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}))
}

// Each mistake is one error that names the file, and never passed over.
func TestHostsMistakes(t *testing.T) {
	cert, key := selfSigned(t)
	other, _ := selfSigned(t)
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string // in the error, after the folder
	}{
		{"no TOML", map[string]string{"hosts.toml": "server = \"https://r.example\"\nhost ="}, "/hosts.toml: line 2: "},
		{"another type", map[string]string{"hosts.toml": "server = 5\n"}, "/hosts.toml: line 1: "},
		{"unknown name", map[string]string{"hosts.toml": "\n[host.\"https://m.example\"]\ncapabilitys = [\"pull\"]\n"}, "/hosts.toml: line 3: unknown name \"host.https://m.example.capabilitys\""},
		{"unknown capability", map[string]string{"hosts.toml": "[host.\"https://m.example\"]\ncapabilities = [\"pul\"]\n"}, "/hosts.toml: host \"https://m.example\": unknown capability \"pul\""},
		{"no server", map[string]string{"hosts.toml": "server = \"https://\"\n"}, "/hosts.toml: \"https://\" is no server"},
		{"a password", map[string]string{"hosts.toml": "[host.\"https://m.example\"]\nheader = {a = 5}\n"}, "/hosts.toml: host \"https://m.example\": header \"a\": it is neither"},
		{"time", map[string]string{"hosts.toml": "dial_timeout = \"soon\"\n"}, "/hosts.toml: dial_timeout: \"soon\" is no time"},
		{"no such authority", map[string]string{"hosts.toml": "ca = \"none.crt\"\n"}, "/none.crt: no such file"},
		{"no certificate", map[string]string{"hosts.toml": "ca = [\"ca.crt\"]\n", "ca.crt": "x"}, "/ca.crt has no certificate in the form of PEM"},
		{"not its key", map[string]string{"hosts.toml": "client = [[\"c.cert\", \"c.key\"]]\n", "c.cert": other, "c.key": key}, "/c.key are no certificate and its key"},
		{"no key", map[string]string{"hosts.toml": "client = \"c.cert\"\n", "c.cert": cert}, "/c.cert are no certificate and its key"},
		{"three files", map[string]string{"hosts.toml": "client = [[\"a\", \"b\", \"c\"]]\n"}, "/hosts.toml: client: [a b c] is no pair"},
		{"open to others", map[string]string{"hosts.toml!": "server = \"https://r.example\"\n"}, "/hosts.toml: others than root may write to it"},
		{"docker's layout, no certificate", map[string]string{"my.crt": "x"}, "/my.crt has no certificate in the form of PEM"},
		{"docker's layout, no key", map[string]string{"my.cert": cert}, "/my.cert are no certificate and its key"},
		{"docker's layout, another key", map[string]string{"my.cert": other, "my.key": key}, "/my.key are no certificate and its key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := writeHosts(t, "r.example", tt.files)
			s := New("", Settings{Hosts: root}).Open(t.Context(), nil)
			defer s.Close()
			_, err := s.hosts("r.example")
			if err == nil || !strings.Contains(err.Error(), filepath.Join(root, "r.example")) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "PRIVATE") {
				t.Fatalf("%v, want %q", err, tt.want)
			}
			if got := s.Problem("r.example", err); hint.Of(got) == "" && !strings.Contains(got.Error(), "no such file") {
				t.Errorf("no hint: %v", got)
			}
		})
	}
}

// serveTLS serves a registry, and returns its name and its certificate.
func serveTLS(t *testing.T, clients bool, h http.HandlerFunc) (name, authority string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if clients {
		server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func folderOf(registry string) string { return strings.Replace(registry, ":", "_", 1) + "_" }

// A login shows with which certificates and over which protocol a registry is asked.
func TestHosts(t *testing.T) {
	cert, key := selfSigned(t)
	login := func(t *testing.T, registry, root string, plain bool) error {
		t.Helper()
		_, err := New(filepath.Join(t.TempDir(), "logins.json"), Settings{Hosts: root}).Login(t.Context(), host.RegistryLogin{Registry: registry, User: "bob", Password: secret, PlainHTTP: plain})
		return err
	}
	fails := func(t *testing.T, err error, want, advice string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(hint.Of(err), advice) {
			t.Errorf("%v; hint %q; want %q, %q", err, hint.Of(err), want, advice)
		}
	}
	t.Run("authority", func(t *testing.T) {
		name, authority := serveTLS(t, false, basic)
		root := writeHosts(t, "other.example", nil)
		fails(t, login(t, name, root, false), "an authority that this host doesn't know", filepath.Join(root, folderOf(name))+"/ca.crt")
		for file, text := range map[string]string{"hosts.toml": "ca = \"ca.pem\"\n", "x.crt": authority} {
			if err := login(t, name, writeHosts(t, folderOf(name), map[string]string{file: text, "ca.pem": authority}), false); err != nil {
				t.Errorf("with %s: %v", file, err)
			}
		}
		another, _ := selfSigned(t)
		fails(t, login(t, name, writeHosts(t, folderOf(name), map[string]string{"x.crt": another}), false), "an authority that this host doesn't know", "")
		if err := login(t, name, writeHosts(t, folderOf(name), map[string]string{"hosts.toml": "skip_verify = true\n"}), false); err != nil {
			t.Errorf("unchecked: %v", err)
		}
	})
	t.Run("client certificate", func(t *testing.T) {
		name, authority := serveTLS(t, true, basic)
		fails(t, login(t, name, writeHosts(t, folderOf(name), map[string]string{"ca.crt": authority}), false), "ends the TLS handshake", "client.cert and client.key in ")
		if err := login(t, name, writeHosts(t, folderOf(name), map[string]string{"ca.crt": authority, "c.cert": cert, "c.key": key}), false); err != nil {
			t.Error(err)
		}
	})
	t.Run("default folder", func(t *testing.T) {
		name, authority := serveTLS(t, false, basic)
		if err := login(t, name, writeHosts(t, "_default", map[string]string{"ca.crt": authority}), false); err != nil {
			t.Error(err)
		}
	})
	t.Run("server of the default folder", func(t *testing.T) {
		name := serve(t, basic)
		root := writeHosts(t, "_default", map[string]string{"hosts.toml": fmt.Sprintf("server = \"http://%s\"\n", name)})
		fails(t, login(t, "r.example", root, false), "is given no login of another one", "sallyport login "+name)
		if err := login(t, name, root, false); err != nil {
			t.Error(err)
		}
	})
	t.Run("a mistake in another folder", func(t *testing.T) {
		if err := login(t, serve(t, basic), writeHosts(t, "r.example", map[string]string{"hosts.toml": "x"}), false); err != nil {
			t.Error(err)
		}
	})
	t.Run("mirror", func(t *testing.T) {
		name, authority := serveTLS(t, false, basic)
		file := fmt.Sprintf("server = \"https://r.invalid\"\n[host.\"https://%s\"]\nca = \"ca.pem\"\n", name)
		if err := login(t, name, writeHosts(t, "r.example", map[string]string{"hosts.toml": file, "ca.pem": authority}), false); err != nil {
			t.Error(err)
		}
	})
	t.Run("plain HTTP", func(t *testing.T) {
		// The name of the folder is not on loopback. The server that the folder names is.
		name := serve(t, basic)
		root := writeHosts(t, "r.example", map[string]string{"hosts.toml": fmt.Sprintf("server = \"http://%s\"\n", name)})
		if err := login(t, "r.example", root, false); err != nil {
			t.Errorf("loopback needs no flag: %v", err)
		}
		root = writeHosts(t, "r.example", map[string]string{"hosts.toml": "server = \"http://r.invalid\"\n"})
		fails(t, login(t, "r.example", root, false), "can't be given a password safely", "--plain-http")
		fails(t, login(t, "r.example", root, true), "can't be reached", "") // it was sent
		if err := login(t, name, writeHosts(t, folderOf(name), map[string]string{"hosts.toml": ""}), false); err != nil {
			t.Errorf("on loopback: %v", err)
		}
	})
	t.Run("not TLS", func(t *testing.T) {
		name := serve(t, basic)
		root := writeHosts(t, folderOf(name), map[string]string{"hosts.toml": fmt.Sprintf("server = \"https://%s\"\n", name)})
		fails(t, login(t, name, root, false), "doesn't speak TLS", "server = \"http://"+name+"\"")
	})
	t.Run("no folder at all", func(t *testing.T) {
		if err := login(t, serve(t, basic), "/nothing/here", false); err != nil {
			t.Error(err)
		}
	})
}

// The server that the folder of a registry names gets the login of that registry. Its mirrors
// don't, nor does a server that the default folder names for every registry.
func TestWhoGetsTheLogin(t *testing.T) {
	logins := filepath.Join(t.TempDir(), "logins.json")
	if _, err := storeLogin(t.Context(), logins, "r.example", login{user: "bob", password: secret}); err != nil {
		t.Fatal(err)
	}
	for folder, users := range map[string]map[string]string{
		"r.example": {"server.example": "bob", "mirror.example": "", "r.example": "bob"},
		"_default":  {"server.example": "", "mirror.example": "", "r.example": "bob"},
	} {
		root := writeHosts(t, folder, map[string]string{"hosts.toml": "server = \"https://server.example\"\n[host.\"https://mirror.example\"]\n"})
		s := New(logins, Settings{Hosts: root}).Open(t.Context(), nil)
		defer s.Close()
		hosts, err := s.hosts("r.example")
		if err != nil || len(hosts) != 2 {
			t.Fatal(hosts, err)
		}
		for host, want := range users {
			if user, _, err := s.credentials(host); err != nil || user != want {
				t.Errorf("%s, %s: %q, %v; want %q", folder, host, user, err, want)
			}
		}
	}
}

func TestRegistryOf(t *testing.T) {
	for folder, want := range map[string]string{"r.example": "r.example", "r.example_5000_": "r.example:5000", "r.example:5000": "r.example:5000", "_default": "default.invalid", "a_": "a_"} {
		if got := registryOf(folder); got != want {
			t.Errorf("%s: %q", folder, got)
		}
	}
}
