package api

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// forAllReaders are the routes of readers. A new route needs a decision, and is closed to them
// without one.
var forAllReaders = []string{
	"GET /v1/version", "GET /v1/configuration", "GET /v1/groups", "GET /v1/groups/{group}", "GET /v1/problems", "GET /v1/disks", "GET /v1/usage", "GET /v1/images",
	"GET /v1/runs", "GET /v1/runs/{run}",
	"GET /v1/groups/{group}/history", "GET /v1/groups/{group}/wait", "GET /v1/events",
}

// A chattyKeeper has a container that printed something before it failed.
type chattyKeeper struct{ *fakeKeeper }

func (k chattyKeeper) Status(string) ([]group.Status, error) {
	return []group.Status{{Name: "checkout", Digest: "sha256 of xyzzy", Containers: []group.ContainerStatus{{Name: "web", LastOutput: []string{"password: xyzzy"}}}}}, nil
}

func TestRights(t *testing.T) {
	s, err := NewServer(ServerConfig{
		Keeper: chattyKeeper{&fakeKeeper{}},
		Exec:   execFunc(func(context.Context, host.ExecRequest) (uint32, error) { return 0, nil }),
		Logs:   func(context.Context, LogRequest, func(LogLine) error) error { return nil },
		Events: func(context.Context, group.EventQuery, func(group.Event) error) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	handler := s.handler()
	ask := func(pattern string, has rights) *httptest.ResponseRecorder {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.NewReplacer("{group}", "checkout", "{generation}", "1", "{file}", "a.hcl").Replace(path)
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		if has >= noRights {
			r = r.WithContext(context.WithValue(r.Context(), rightsKey{}, func() rights { return has }))
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	const unknown = rights(-1) // a connection that is not our listener's
	for _, r := range s.routes() {
		for _, tt := range []struct {
			who     string
			has     rights
			refused bool
		}{
			{"an unknown peer", unknown, true}, {"nobody", noRights, true}, {"an operator", fullRights, false},
			{"a reader", readRights, !slices.Contains(forAllReaders, r.pattern)},
		} {
			if got := ask(r.pattern, tt.has).Code == http.StatusForbidden; got != tt.refused {
				t.Errorf("%s as %s: refused %v, want %v", r.pattern, tt.who, got, tt.refused)
			}
		}
	}
	for _, pattern := range []string{"GET /v1/groups", "GET /v1/groups/{group}", "GET /v1/groups/{group}/history"} {
		if body := ask(pattern, readRights).Body.String(); strings.Contains(body, "xyzzy") || !strings.Contains(body, "web") {
			t.Errorf("a reader of %s gets %s", pattern, body)
		}
		if body := ask(pattern, fullRights).Body.String(); !strings.Contains(body, "xyzzy") {
			t.Errorf("an operator of %s gets %s", pattern, body)
		}
	}
}

func gid(n uint32) *uint32 { return &n }

// Rights follow the access at the time of a request, also on a connection from before.
func TestRootAdmit(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Listen(path, Access{})
	must(t, err)
	defer l.Close()
	peer := &peerConn{uid: 4001, gids: []uint32{4001, 4002, 4003}}
	for _, tt := range []struct {
		name   string
		access Access
		want   rights
		mode   os.FileMode
		gid    uint32
	}{
		{"nobody", Access{}, noRights, 0o600, 0},
		{"operators by a supplementary group", Access{Operators: gid(4003)}, fullRights, 0o660, 4003},
		{"readers by the primary group", Access{Readers: gid(4001)}, readRights, 0o660, 4001},
		{"others", Access{Operators: gid(4000)}, noRights, 0o660, 4000},
		{"both", Access{Operators: gid(4003), Readers: gid(4001)}, fullRights, 0o666, 0},
		{"readers of two groups", Access{Operators: gid(4000), Readers: gid(4001)}, readRights, 0o666, 0},
		{"the same group twice", Access{Operators: gid(4001), Readers: gid(4001)}, fullRights, 0o660, 4001},
		{"nobody any more", Access{}, noRights, 0o600, 0},
	} {
		must(t, l.Admit(tt.access))
		info, err := os.Stat(path)
		must(t, err)
		if info.Mode().Perm() != tt.mode || info.Sys().(*syscall.Stat_t).Gid != tt.gid {
			t.Errorf("%s: the socket is %v of group %d, want %v of %d", tt.name, info.Mode(), info.Sys().(*syscall.Stat_t).Gid, tt.mode, tt.gid)
		}
		if got := l.rights(peer); got != tt.want {
			t.Errorf("%s: rights %d, want %d", tt.name, got, tt.want)
		}
		if l.rights(&peerConn{uid: 0, gids: []uint32{0}}) != fullRights {
			t.Errorf("%s: root is refused", tt.name)
		}
	}
}

// everythingVar makes the test program try each kind of request.
const everythingVar = "SALLYPORT_TEST_EVERYTHING"

// tryEverything returns what the daemon allows, in one line.
func tryEverything(c *Client) string {
	ctx := context.Background()
	var allowed []string
	note := func(what string, err error) {
		if err == nil {
			allowed = append(allowed, what)
		}
	}
	_, err := c.Version(ctx)
	note("version", err)
	_, err = c.Status(ctx, "")
	note("status", err)
	note("events", c.Events(ctx, group.EventQuery{}, func(group.Event) error { return nil }))
	note("logs", c.Logs(ctx, LogRequest{Group: "checkout"}, func(LogLine) error { return nil }))
	_, err = c.File(ctx, "checkout", 1)
	note("file", err)
	note("stop", c.Stop(ctx, "checkout", nil))
	_, err = c.Exec(ctx, host.ExecRequest{Group: "checkout", Container: "web", Args: []string{"id"}})
	note("exec", err)
	return strings.Join(allowed, " ")
}

// The kernel's record of the caller decides, for each of its groups.
func TestRootAccessOfUsers(t *testing.T) {
	needRoot(t)
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Listen(path, Access{Operators: gid(4003)})
	must(t, err)
	d := serveOn(t, ServerConfig{}, path, l)
	dir := filepath.Dir(path)
	program := copyProgram(t, dir)
	for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		must(t, os.Chmod(at, 0o755)) // all users can reach the socket
	}
	const everything, reading = "version status events logs file stop exec", "version status events"
	many := make([]uint32, 3000) // more groups than fit into the first buffer
	for i := range many {
		many[i] = 10000 + uint32(i)
	}
	for _, tt := range []struct {
		name   string
		access Access
		gid    uint32
		groups []uint32
		want   string
	}{
		{"a stranger", Access{Operators: gid(4003)}, 4001, []uint32{4002}, ""},
		{"an operator by the primary group", Access{Operators: gid(4003)}, 4003, nil, everything},
		{"an operator by a supplementary group", Access{Operators: gid(4003)}, 4001, []uint32{4002, 4003}, everything},
		{"an operator of many groups", Access{Operators: gid(4003)}, 4001, append(many, 4003), everything},
		{"a reader", Access{Readers: gid(4004)}, 4001, []uint32{4004}, reading},
		{"a reader beside operators", Access{Operators: gid(4003), Readers: gid(4004)}, 4001, []uint32{4004}, reading},
		{"an operator beside readers", Access{Operators: gid(4003), Readers: gid(4004)}, 4001, []uint32{4003}, everything},
		{"a stranger, where anyone connects", Access{Operators: gid(4003), Readers: gid(4004)}, 4001, []uint32{4002}, ""},
		{"an operator whose group is one no more", Access{}, 4003, []uint32{4003}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			must(t, l.Admit(tt.access))
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = []string{connectVar + "=" + d.socket, everythingVar + "=1"}
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4001, Gid: tt.gid, Groups: tt.groups}}
			out, err := cmd.Output()
			must(t, err)
			if diff := cmp.Diff(tt.want, string(out)); diff != "" {
				t.Errorf("allowed (-want +got):\n%s", diff)
			}
		})
	}
	if got := tryEverything(d.Client); got != everything {
		t.Errorf("root is allowed %q", got)
	}
	if log := d.log.String(); strings.Count(log, "a user was refused") != 1 {
		t.Errorf("the log has the refused user more than once within a minute, or never:\n%s", log)
	}
}

// Who owns the folder of a socket can put a link to any file in its place. Root doesn't open that
// file to others.
func TestALinkInThePlaceOfTheSocketIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	secret, path := filepath.Join(dir, "secret"), filepath.Join(dir, "metrics.sock")
	if err := os.WriteFile(secret, nil, 0o400); err != nil {
		t.Fatal(err)
	}
	own, other := uint32(os.Getegid()), uint32(os.Getegid()+1)
	for name, put := range map[string]func() error{
		"a link":           func() error { return os.Symlink(secret, path) },
		"a file by a link": func() error { return os.Link(secret, path) },
	} {
		if err := put(); err != nil {
			t.Fatal(err)
		}
		if err := (Access{Operators: &own, Readers: &other}).grant(path); err == nil {
			t.Errorf("%s: no error", name)
		}
		info, err := os.Stat(secret)
		if err != nil || info.Mode() != 0o400 {
			t.Errorf("%s: the file has mode %s, error %v", name, info.Mode(), err)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := (Access{Readers: &own}).grant(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket has mode %s, error %v", info.Mode(), err)
	}
}
