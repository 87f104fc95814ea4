package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

const secret = "hunter2-is-a-secret"

// serve serves a registry of plain HTTP on loopback, and returns its name.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// basic answers as a registry that wants bob and the secret.
func basic(w http.ResponseWriter, r *http.Request) {
	if user, password, ok := r.BasicAuth(); !ok || user != "bob" || password != secret {
		w.Header().Set("WWW-Authenticate", `Basic realm="r"`)
		w.WriteHeader(http.StatusUnauthorized)
	}
}

// bearer answers as a registry that wants a token, and as its token service.
func bearer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		_, password, _ := r.BasicAuth()
		if r.PostFormValue("password") != secret && password != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, `{"token":"t1","access_token":"t1"}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer t1" {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="s"`, r.Host))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func TestLogin(t *testing.T) {
	for _, tt := range []struct {
		name      string
		registry  http.HandlerFunc
		password  host.Password
		want      string // in the error; empty: it is stored
		unchecked bool
	}{
		{"password", basic, secret, "", false},
		{"another password", basic, "wrong-" + secret, `refuses access to it for user "bob" of this command`, false},
		{"token service", bearer, secret, "", false},
		{"token service, another password", bearer, "wrong-" + secret, `refuses access to it`, false},
		{"open to all", func(http.ResponseWriter, *http.Request) {}, secret, "", true},
		{"open, and the password is wrong", func(w http.ResponseWriter, r *http.Request) {
			if _, _, given := r.BasicAuth(); given {
				w.WriteHeader(http.StatusUnauthorized)
			}
		}, secret, "refuses access to it", false},
		{"no registry", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, secret, "is no registry", false},
		{"fails", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, secret, "fails", false},
		{"too many", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, secret, "too many requests", false},
		{"no password", basic, "", "needs a user and a password", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name, path := serve(t, tt.registry), filepath.Join(t.TempDir(), "registries.json")
			r := New(path, Settings{})
			done, err := r.Login(t.Context(), host.RegistryLogin{Registry: name, User: "bob", Password: tt.password})
			stored, readErr := os.ReadFile(path)
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) || readErr == nil {
					t.Errorf("%v, stored %q; want %q", err, stored, tt.want)
				}
				if text := fmt.Sprintf("%v %+v %s", err, err, hint.Of(err)); strings.Contains(text, secret) {
					t.Errorf("the error has the password: %s", text)
				}
				return
			}
			if err != nil || done.Unchecked != tt.unchecked || done.File != path {
				t.Fatalf("%+v, %v", done, err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v, %v", info, err)
			}
			found, err := findLogin(t.Context(), []string{path}, name)
			if err != nil || found != (login{user: "bob", password: secret, file: path}) {
				t.Errorf("%v, %v", found, err)
			}
			if text := fmt.Sprintf("%v %+v", found, found); strings.Contains(text, secret) {
				t.Errorf("a login prints its password: %s", text)
			}
			out, err := r.Logout(t.Context(), name)
			if again, _ := r.Logout(t.Context(), name); err != nil || !out.Removed || again.Removed {
				t.Errorf("logged out: %+v, %v, then %+v", out, err, again)
			}
			if stored, _ := os.ReadFile(path); strings.Contains(string(stored), name) {
				t.Errorf("left: %s", stored)
			}
		})
	}
}

// A password goes over plain HTTP only to this host, and elsewhere if the request asks for it. The
// registry does not see it otherwise.
func TestLoginOverPlainHTTP(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	asked := false
	s.transports = nil
	hosts, err := s.hosts("127.0.0.1:1")
	if err != nil {
		t.Fatal(err)
	}
	h := hosts[0]
	h.Scheme, h.Host = "http", "registry.example"
	h.Client = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = true
		return nil, errors.New("asked")
	})}
	if _, err := check(t.Context(), h, login{user: "bob", password: secret}, false); !errors.Is(err, errPlainLogin) || asked {
		t.Errorf("%v, asked %v", err, asked)
	}
	if _, err := check(t.Context(), h, login{user: "bob", password: secret}, true); err == nil || !asked {
		t.Errorf("%v, asked %v: the control", err, asked)
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestGuard(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	s.plain["plain.example"] = true
	for _, tt := range []struct {
		method, url, authorization string
		passes                     bool
	}{
		{"GET", "https://r.example/v2/", "Basic x", true},
		{"POST", "https://r.example/token", "", true},
		{"GET", "http://r.example/v2/", "", true},
		{"GET", "http://r.example/v2/", "Basic x", false},
		{"POST", "http://r.example/token", "", false},
		{"POST", "http://plain.example/token", "", true},
		{"GET", "http://127.0.0.1:5000/v2/", "Basic x", true},
		{"GET", "http://localhost/v2/", "Basic x", true},
		{"GET", "http://[::1]:5000/v2/", "Basic x", true},
		{"GET", "http://127.0.0.1.example/v2/", "Basic x", false},
	} {
		r, err := http.NewRequest(tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.authorization != "" {
			r.Header.Set("Authorization", tt.authorization)
		}
		passed := errors.New("passed")
		_, err = (&guard{next: roundTrip(func(*http.Request) (*http.Response, error) { return nil, passed }), plain: s.mayBePlain}).RoundTrip(r)
		if errors.Is(err, passed) != tt.passes || !tt.passes && !errors.Is(err, errPlain) {
			t.Errorf("%s %s %q: %v", tt.method, tt.url, tt.authorization, err)
		}
	}
}

// A redirect to another port, which net/http takes for the same host, does not get the login. It
// gets its own if it has one.
func TestGuardOfRedirects(t *testing.T) {
	seen := map[string]string{}
	note := func(name, to string) string { // serves one that redirects, or the last
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			seen[name] = r.Header.Get("Authorization")
			if to != "" {
				http.Redirect(w, r, "http://"+to, http.StatusTemporaryRedirect)
			}
		})
	}
	last := note("last", "")
	first := note("first", note("middle", last))
	for _, own := range []string{"", "Basic own"} {
		s := New("", Settings{}).Open(t.Context(), nil)
		defer s.Close()
		if own != "" {
			s.used[last] = login{user: "ann"}
		}
		client := &http.Client{Transport: s.transport(&http.Transport{DisableKeepAlives: true}), CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if r.URL.Host == last && own != "" {
				r.Header.Set("Authorization", own) // as containerd does
			}
			return nil
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+first, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("bob", secret)
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if seen["first"] == "" || seen["middle"] != "" || seen["last"] != own {
			t.Errorf("with %q of its own: seen %q", own, seen)
		}
		clear(seen)
		_, err = client.PostForm("http://"+first, url.Values{"password": {secret}})
		if _, got := seen["first"]; !got || len(seen) != 1 || !errors.Is(err, errSentOn) || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("a form: %v, seen %q", err, seen)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, advice := range map[string]string{
		"r.example": "", "r.example:5000": "", "localhost": "", "10.0.0.1:80": "", "[::1]:5000": "",
		"r.example/team": "", "r.example:5000/team/app": "", "r.example/v2": "", "r.example/a__b-c.d": "",
		"https://r.example/v2/": "without a scheme, a tag or a digest: r.example", "https://r.example/v2/team/app/": "digest: r.example/team/app",
		"r.example/team/": "digest: r.example/team", "r.example/team:1": "digest: r.example/team", "r.example:5000/team@sha256:12": "digest: r.example:5000/team",
		"r.example/Team": "write its name", "r.example/../etc": "write its name", "r.example//": "digest: r.example", "r.example/a//b": "write its name",
		"r.example/" + strings.Repeat("a", 256): "write its name", "/team": "write its name",
		"": "write its name", "a b": "write its name", "-u": "write its name", "r.example:": "write its name",
	} {
		err := CheckName(name)
		if (err == nil) != (advice == "") || !strings.Contains(hint.Of(err), advice) {
			t.Errorf("%q: %v, hint %q, want %q", name, err, hint.Of(err), advice)
		}
	}
}

func TestFindLogin(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("docker-credential-good", "#!/bin/sh\nread server\necho '{\"ServerURL\":\"'$server'\",\"Username\":\"ann\",\"Secret\":\""+secret+"\"}'\n", 0o755)
	write("docker-credential-token", "#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\""+secret+"\"}'\n", 0o755)
	write("docker-credential-empty", "#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n", 0o755)
	write("docker-credential-locked", "#!/bin/sh\necho 'the store is locked'\nexit 1\n", 0o755)
	write("docker-credential-leaky", "#!/bin/sh\necho '{\"Secret\":\""+secret+"\"}'\nexit 1\n", 0o755)
	write("docker-credential-hangs", "#!/bin/sh\nexec sleep 2\n", 0o755)
	auths := func(registry, entry string) string { return `{"auths":{"` + registry + `":` + entry + `}}` }
	bob := `{"auth":"Ym9iOg=="}`
	if raw, err := json.Marshal(map[string][]byte{"auth": []byte("bob:" + secret)}); err == nil {
		bob = string(raw)
	}
	for _, tt := range []struct {
		name, host, text string
		mode             os.FileMode
		want             login
		problem          string
		advice           string
	}{
		{name: "auths", host: "r.example", text: auths("r.example", bob), want: login{user: "bob", password: secret}},
		{name: "auths of older dockers", host: "r.example", text: auths("https://r.example/v1/", bob), want: login{user: "bob", password: secret}},
		{name: "docker's own registry", host: "registry-1.docker.io", text: auths("https://index.docker.io/v1/", bob), want: login{user: "bob", password: secret}},
		{name: "a part", host: "r.example/team/app", text: auths("r.example/team", bob), want: login{user: "bob", password: secret, part: "r.example/team"}},
		{name: "the part itself", host: "r.example/team", text: auths("r.example/team", bob), want: login{user: "bob", password: secret, part: "r.example/team"}},
		{name: "a part, with a slash", host: "r.example/team/app", text: auths("r.example/team/", bob), want: login{user: "bob", password: secret, part: "r.example/team"}},
		{name: "another part", host: "r.example/team2/app", text: auths("r.example/team", bob)},
		{name: "a part is not for the whole", host: "r.example", text: auths("r.example/team", bob)},
		{name: "the longest part", host: "r.example/a/b/c", text: `{"auths":{"r.example":{"auth":"eDp5"},"r.example/a":{"auth":"eDp5"},"r.example/a/b":` + bob + `,"r.example/a/b/d":{"auth":"eDp5"}}}`,
			want: login{user: "bob", password: secret, part: "r.example/a/b"}},
		{name: "the whole for the rest", host: "r.example/z", text: `{"auths":{"r.example":` + bob + `,"r.example/a":{"auth":"eDp5"}}}`, want: login{user: "bob", password: secret}},
		{name: "a part before a helper", host: "r.example/team/app", text: `{"credHelpers":{"r.example":"locked"},"auths":{"r.example/team":` + bob + `}}`,
			want: login{user: "bob", password: secret, part: "r.example/team"}},
		{name: "a helper for the rest", host: "r.example/z/app", text: `{"credsStore":"good","auths":{"r.example/team":` + bob + `,"r.example/z":{}}}`, want: login{user: "ann", password: secret}},
		{name: "a part of docker's own", host: "registry-1.docker.io/team/app", text: auths("docker.io/team", bob), want: login{user: "bob", password: secret, part: "docker.io/team"}},
		{name: "an older API's address is no part", host: "r.example/v1/app", text: auths("r.example/v1/", bob), want: login{user: "bob", password: secret}},
		{name: "two keys of one registry", host: "r.example", text: `{"auths":{"https://r.example":{"auth":"eDp5"},"r.example":` + bob + `}}`, want: login{user: "bob", password: secret}},
		{name: "a damaged part", host: "r.example/team/app", text: auths("r.example/team", `{"auth":"`+secret+`"}`), problem: "entry for r.example/team", advice: "mend the file"},
		{name: "another registry", host: "q.example", text: auths("r.example", bob)},
		{name: "another port", host: "r.example:5000", text: auths("r.example", bob)},
		{name: "identity token", host: "r.example", text: auths("r.example", `{"identitytoken":"`+secret+`"}`), want: login{token: secret}},
		{name: "registry token", host: "r.example", text: auths("r.example", `{"registrytoken":"`+secret+`"}`), problem: "which can't be used", advice: "sallyport login r.example"},
		{name: "helper", host: "r.example", text: `{"credHelpers":{"r.example":"good"}}`, want: login{user: "ann", password: secret}},
		{name: "helper for all", host: "r.example", text: `{"credsStore":"token"}`, want: login{token: secret}},
		{name: "helper without it", host: "r.example", text: `{"credsStore":"empty"}`},
		{name: "helper that fails", host: "r.example", text: `{"credsStore":"locked"}`, problem: "docker-credential-locked for r.example: the store is locked", advice: "see what it prints"},
		{name: "helper that fails with the secret", host: "r.example", text: `{"credsStore":"leaky"}`, problem: "it has failed", advice: "see what it prints"},
		{name: "helper that hangs", host: "r.example", text: `{"credsStore":"hangs"}`, problem: "it gave no answer", advice: "see what it prints"},
		{name: "no helper", host: "r.example", text: `{"credsStore":"nowhere"}`, problem: "no such program on its PATH", advice: "log in without it"},
		{name: "no JSON", host: "r.example", text: `secret ` + secret, problem: "it is no JSON", advice: "mend the file"},
		{name: "another shape", host: "r.example", text: `{"auths":["` + secret + `"]}`, problem: "not of the form", advice: "mend the file"},
		{name: "a damaged entry", host: "r.example", text: auths("r.example", `{"auth":"`+secret+`"}`), problem: "entry for r.example", advice: "mend the file"},
		{name: "open to others", host: "r.example", text: auths("r.example", bob), mode: 0o622, problem: "others than root may write to it", advice: "chmod go-w"},
		{name: "empty", host: "r.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.mode == 0 {
				tt.mode = 0o600
			}
			path := write("config.json", tt.text, tt.mode)
			if tt.name == "helper that hangs" {
				before := helperTimeout
				helperTimeout = time.Millisecond
				defer func() { helperTimeout = before }()
			}
			got, err := findLogin(t.Context(), []string{filepath.Join(dir, "absent"), path}, tt.host)
			if tt.want != (login{}) {
				tt.want.file = path
			}
			if got != tt.want || (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
				t.Errorf("%v, %v; want %v, %q", got, err, tt.want, tt.problem)
			}
			if !strings.Contains(hint.Of(err), tt.advice) || strings.Contains(fmt.Sprint(err, hint.Of(err)), secret) {
				t.Errorf("%v; hint %q", err, hint.Of(err))
			}
			if err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("the error has no path: %v", err)
			}
		})
	}
}

// The first file with a login counts, and logging in keeps what else is in the file.
func TestLoginKeepsTheRest(t *testing.T) {
	name, dir := serve(t, basic), t.TempDir()
	own, docker := filepath.Join(dir, "own.json"), filepath.Join(dir, "docker.json")
	for path, text := range map[string]string{
		own:    `{"other":{"kept":true},"auths":{"q.example":{"auth":"YTpi"}}}`,
		docker: `{"auths":{"` + name + `":{"auth":"YTpi"}}}`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := New(own, Settings{DockerConfig: docker})
	find := func(host string) string {
		l, err := findLogin(t.Context(), r.files(r.settings()), host)
		if err != nil {
			t.Fatal(err)
		}
		return l.user
	}
	if user := find(name); user != "a" {
		t.Errorf("before: %q", user)
	}
	if _, err := r.Login(t.Context(), host.RegistryLogin{Registry: name, User: "bob", Password: secret}); err != nil {
		t.Fatal(err)
	}
	if user, other := find(name), find("q.example"); user != "bob" || other != "a" {
		t.Errorf("after: %q, %q", user, other)
	}
	if text, _ := os.ReadFile(own); !strings.Contains(string(text), `"kept": true`) {
		t.Errorf("lost: %s", text)
	}
	out, err := r.Logout(t.Context(), name)
	if err != nil || !out.Removed || out.Elsewhere != docker {
		t.Errorf("%+v, %v", out, err)
	}
	if err := os.WriteFile(own, []byte("null"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Login(t.Context(), host.RegistryLogin{Registry: name, User: "bob", Password: secret}); err == nil {
		t.Error("a file with null is used")
	}
}

// A part of a registry has a login of its own, which a pull uses for what is in it. An error names
// it, or else where none was found.
func TestLoginToAPart(t *testing.T) {
	name, dir := serve(t, basic), t.TempDir()
	own := filepath.Join(dir, "own.json")
	r := New(own, Settings{DockerConfig: filepath.Join(dir, "docker.json")})
	for _, part := range []string{name + "/team", name + "/team/tools", name} {
		if done, err := r.Login(t.Context(), host.RegistryLogin{Registry: part, User: "bob", Password: secret}); err != nil || done.Registry != part {
			t.Fatalf("%s: %+v, %v", part, done, err)
		}
	}
	pulls := func(image string) (presented, problem string) {
		t.Helper()
		s := r.Open(t.Context(), nil).For(image)
		defer s.Close()
		if _, _, err := s.credentials(name); err != nil {
			t.Fatal(err)
		}
		l, _ := s.presented(name)
		err := s.Problem(name, fmt.Errorf("x: %w", docker.ErrInvalidAuthorization))
		return l.part, err.Error() + " " + hint.Of(err)
	}
	for image, want := range map[string]string{"/team/app:1": name + "/team", "/team/tools/x@sha256:" + strings.Repeat("0", 64): name + "/team/tools", "/teams/app:1": ""} {
		presented, problem := pulls(name + image)
		if presented != want || want != "" && (!strings.Contains(problem, "which is for "+want) || !strings.Contains(problem, "log in again: sallyport login "+want)) {
			t.Errorf("%s: presented the login for %q, want %q; %s", image, presented, want, problem)
		}
	}
	out, err := r.Logout(t.Context(), name+"/team/tools")
	if err != nil || !out.Removed || out.Elsewhere != own || out.Part != name+"/team" {
		t.Errorf("logged out of a part of a part: %+v, %v", out, err)
	}
	if out, err := r.Logout(t.Context(), name); err != nil || !out.Removed || out.Elsewhere != "" {
		t.Errorf("logged out of the registry: %+v, %v", out, err)
	}
	presented, problem := pulls(name + "/other:1")
	if presented != "" || !strings.Contains(problem, "no login for it is in "+own+" or ") || !strings.Contains(problem, "there are some for "+name+"/team)") {
		t.Errorf("presented %q; %s", presented, problem)
	}
	if err := os.WriteFile(own, []byte(`{"auths":{"https://`+name+`/v1/":{"auth":"YTpi"},"`+name+`/team":{"auth":"YTpi"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := r.Logout(t.Context(), name); err != nil || !out.Removed {
		t.Errorf("an older key: %+v, %v", out, err)
	}
	if text, _ := os.ReadFile(own); strings.Contains(string(text), "v1") || !strings.Contains(string(text), name+"/team") {
		t.Errorf("left: %s", text)
	}
}
