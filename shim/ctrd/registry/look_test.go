package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// Each finding names the file and has what to do, and none has a secret.
func TestLook(t *testing.T) {
	now := time.Now()
	day := 24 * time.Hour
	good, goodKey := selfSignedFor(t, now.Add(-day), now.Add(365*day))
	soon, soonKey := selfSignedFor(t, now.Add(-day), now.Add(day))
	ended, endedKey := selfSignedFor(t, now.Add(-2*day), now.Add(-day))
	later, laterKey := selfSignedFor(t, now.Add(day), now.Add(365*day))
	programs := t.TempDir()
	for name, mode := range map[string]os.FileMode{"docker-credential-good": 0o755, "docker-credential-text": 0o644} {
		if err := os.WriteFile(filepath.Join(programs, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := "/nowhere:" + programs
	bob := `{"auths":{"r.example":{"auth":"Ym9iOnNlY3JldA=="},"r.example/team":{"auth":"Ym9iOnNlY3JldA=="},"q.example":{}}}`
	for _, tt := range []struct {
		name   string
		logins string
		mode   os.FileMode
		hosts  map[string]string // below the folder of r.example
		env    host.RegistryEnvironment
		found  string
		want   []string // of each finding, "note: " or "fails: ", its text and its hint
	}{
		{name: "nothing", found: "no file has logins: "},
		{name: "logins", logins: bob, found: "(mode 0600) has 2 logins; there is no "},
		{name: "one registry twice", logins: `{"auths":{"docker.io":{"auth":"secret"},"https://index.docker.io/v1/":{"auth":"Ym9iOnNlY3JldA=="},"index.docker.io":{}}}`, found: "has 1 login;"},
		{name: "others read it", logins: bob, mode: 0o644, want: []string{"fails: logins.json (mode 0644): others than root can read the passwords in it -> chmod 600 "}},
		{name: "others read it, and it has none", logins: `{"auths":{"r.example":{}}}`, mode: 0o644, found: "(mode 0644) has 0 logins"},
		{name: "others write it", logins: bob, mode: 0o622, found: "logins.json can't be used", want: []string{"fails: others than root may write to it -> chmod go-w"}},
		{name: "no JSON", logins: "x", want: []string{"fails: it is no JSON -> mend the file"}},
		{name: "a damaged entry", logins: `{"auths":{"r.example/team":{"auth":"secret"}}}`, want: []string{"fails: entry for r.example/team can't be read -> mend the file"}},
		{name: "helpers", logins: `{"credsStore":"good","credHelpers":{"q.example":"nowhere","r.example":"text"}}`, want: []string{
			"fails: docker-credential-nowhere, and the daemon's PATH has no such program (" + path + ") -> install it", "fails: docker-credential-text -> install it"}},
		{name: "a helper for a part", logins: `{"credHelpers":{"r.example/team":"good"}}`, want: []string{"note: for r.example/team, which is never asked -> name the registry alone: r.example"}},
		{name: "hosts", hosts: map[string]string{"hosts.toml": "ca = \"ca.pem\"\nclient = [[\"c.cert\", \"c.key\"]]\n", "ca.pem": good, "c.cert": good, "c.key": goodKey}, found: "describes 1 registry; no proxy"},
		{name: "no TOML", hosts: map[string]string{"hosts.toml": "\nx =\n"}, want: []string{"fails: hosts.toml: line 2: -> mend the file"}},
		{name: "no such authority", hosts: map[string]string{"hosts.toml": "ca = \"none.crt\"\n"}, want: []string{"fails: none.crt: no such file -> mend the file"}},
		{name: "no certificate", hosts: map[string]string{"ca.crt": "x"}, want: []string{"fails: ca.crt has no certificate in the form of PEM -> mend the file"}},
		{name: "ended", hosts: map[string]string{"hosts.toml": "[host.\"https://m.example\"]\nca = \"ca.pem\"\nclient = [[\"c.cert\", \"c.key\"]]\n", "ca.pem": ended, "c.cert": ended, "c.key": endedKey}, want: []string{
			"note: ca.pem: its authorities ended at -> the registry's new authority", "fails: c.cert: this host's certificate ended at -> get a new certificate"}},
		{name: "one authority of two has ended", hosts: map[string]string{"ca.crt": ended + good}},
		{name: "ends soon", hosts: map[string]string{"c.cert": soon, "c.key": soonKey}, want: []string{"note: c.cert: this host's certificate ends at -> get a new certificate"}},
		{name: "not yet", hosts: map[string]string{"c.cert": later, "c.key": laterKey, "ca.crt": later}, want: []string{"note: its authorities begin at -> clock", "fails: this host's certificate begins at -> clock"}},
		{name: "others read a key", hosts: map[string]string{"c.cert": good, "c.key?": goodKey}, want: []string{"fails: c.key (mode 0644): others than root can read the key in it -> chmod 600 "}},
		{name: "a file outside of the folders", hosts: map[string]string{"../hosts.toml": ""}, want: []string{"note: hosts.toml is in no registry's folder -> REGISTRY"}},
		{name: "proxy", env: host.RegistryEnvironment{Proxies: []host.RegistryProxy{{Variable: "HTTPS_PROXY", Host: "proxy.lan:3128"}}, NoProxy: "registry.lan"},
			found: "through the proxy proxy.lan:3128 (HTTPS_PROXY), but for NO_PROXY=registry.lan"},
		{name: "no proxy's address", env: host.RegistryEnvironment{Proxies: []host.RegistryProxy{{Variable: "HTTPS_PROXY"}}}, want: []string{"fails: HTTPS_PROXY of the daemon's environment is no address -> restart the daemon"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := filepath.Join(t.TempDir(), "certs.d")
			if tt.hosts != nil {
				files := map[string]string{}
				for name, text := range tt.hosts {
					files[strings.TrimSuffix(name, "?")] = text
				}
				root = writeHosts(t, "r.example", files)
				for name := range tt.hosts {
					if open, ok := strings.CutSuffix(name, "?"); ok {
						if err := os.Chmod(filepath.Join(root, "r.example", open), 0o644); err != nil {
							t.Fatal(err)
						}
					}
				}
			}
			logins := filepath.Join(t.TempDir(), "logins.json")
			if tt.logins != "" {
				if err := os.WriteFile(logins, []byte(tt.logins), 0o600); err != nil {
					t.Fatal(err)
				}
				if tt.mode != 0 {
					if err := os.Chmod(logins, tt.mode); err != nil {
						t.Fatal(err)
					}
				}
			}
			tt.env.Path = path
			found, all := Look(t.Context(), logins, Settings{Hosts: root}, tt.env, now)
			if !strings.Contains(found, tt.found) {
				t.Errorf("found %q, want %q", found, tt.found)
			}
			var got []string
			for _, f := range all {
				word := "fails: "
				if f.Note {
					word = "note: "
				}
				got = append(got, fmt.Sprintf("%s%v -> %s", word, f.Err, hint.Of(f.Err)))
			}
			same := slices.EqualFunc(got, tt.want, func(got, want string) bool {
				word, rest, _ := strings.Cut(want, ": ")
				text, advice, _ := strings.Cut(rest, " -> ")
				foundText, foundAdvice, _ := strings.Cut(got, " -> ")
				return strings.HasPrefix(got, word) && strings.Contains(foundText, text) && foundAdvice != "" && strings.Contains(foundAdvice, advice)
			})
			if !same {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			if text := fmt.Sprint(found, got); strings.Contains(text, "secret") || strings.Contains(text, "PRIVATE") {
				t.Errorf("a secret is in: %s", text)
			}
		})
	}
}

// A look that is ended reports the file that it did not read to its end.
func TestLookIsEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l := &look{ctx: ctx}
	f := &loginFile{path: "/root/.docker/config.json", auths: map[string]json.RawMessage{"registry.example": json.RawMessage(`{"auth":"bWU6c2VjcmV0"}`)}}
	if n := l.entries(f); n != 0 || len(l.all) != 1 || !strings.Contains(l.all[0].Err.Error(), f.path+" was not read to its end") {
		t.Errorf("%d logins, %v", n, l.all)
	}
}

// The password of a proxy is nowhere in what is shown of the environment.
func TestEnvironment(t *testing.T) {
	for value, want := range map[string]string{
		"http://proxy.lan:3128": "proxy.lan:3128", "https://u:hunter2@proxy.lan": "proxy.lan", "proxy.lan:3128": "proxy.lan:3128", "socks5://p.lan:1": "p.lan:1",
		"ftp://proxy.lan": "", "http://u:hunter2/@p": "", "://": "",
	} {
		t.Setenv("HTTPS_PROXY", value)
		t.Setenv("HTTP_PROXY", "")
		t.Setenv("http_proxy", "")
		t.Setenv("no_proxy", "a.lan")
		t.Setenv("NO_PROXY", "")
		e := Environment()
		if len(e.Proxies) != 1 || e.Proxies[0] != (host.RegistryProxy{Variable: "HTTPS_PROXY", Host: want}) || e.NoProxy != "a.lan" || e.Path == "" {
			t.Errorf("%q: %+v", value, e)
		}
	}
}
