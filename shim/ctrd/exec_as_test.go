package ctrd

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// asked runs a line of shell in a container as a request has it, and returns its output.
func (r *harness) asked(req host.ExecRequest, line string) string {
	r.Helper()
	var b bytes.Buffer
	req.Group, req.Args, req.Stdout, req.Stderr = "g", []string{"/bin/sh", "-c", line}, &b, &b
	if _, err := r.c.Exec(r.Context(), req); err != nil {
		r.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// An exec'd process may be another user's. It has no more rights than the container's program.
func TestRootExecAs(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		user := script("user", spec.App, "sleep 1000")
		user.User = "1000:1000"
		r := newHarness(t, c, archive, user, script("root", spec.App, "busybox mkdir /srv; sleep 1000"))
		r.run()
		const ids = "id -u; id -G"
		for _, tt := range []struct {
			name string
			req  host.ExecRequest
			line string
			want string
		}{
			{"its own", host.ExecRequest{Container: "user"}, ids, "1000\n1000"},
			{"a name", host.ExecRequest{Container: "root", User: "web"}, ids, "1000\n1000 2000"},
			{"a name and a group", host.ExecRequest{Container: "root", User: "web:logs"}, ids, "1000\n2000"},
			{"numbers", host.ExecRequest{Container: "root", User: "7:8"}, ids, "7\n8"},
			{"a number that has no name", host.ExecRequest{Container: "root", User: "7"}, ids, "7\n0"},
			{"folder and environment", host.ExecRequest{Container: "root", WorkDir: "/srv", Env: []string{"A=1 2", "PATH=/bin:/x"}}, "pwd; echo $A $PATH", "/srv\n1 2 /bin:/x"},
			// The control for those below: the container's own root has rights.
			{"root's rights", host.ExecRequest{Container: "root", User: "root"}, "touch /x && busybox chown 5 /x && stat -c %u /x", "5"},
			{"no rights of root's in a user's container", host.ExecRequest{Container: "user", User: "0"}, "id -u; busybox grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs' /proc/self/status; touch /x && busybox chown 5 /x 2>&1",
				"0\nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nchown: /x: Operation not permitted"},
			{"no rights of root's for another user", host.ExecRequest{Container: "root", User: "web"}, "busybox grep CapBnd /proc/self/status", "CapBnd:\t0000000000000000"},
			// The file is the running container's, not the image's.
			{"a user who was added", host.ExecRequest{Container: "root", User: "late"}, ids, "4242\n4243"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if tt.req.User == "late" {
					r.asked(host.ExecRequest{Container: "root"}, "busybox rm /etc/passwd; echo late:x:4242:4243::/:/bin/sh >/etc/other; busybox ln -s /etc/other /etc/passwd")
				}
				if got := r.asked(tt.req, tt.line); got != tt.want {
					t.Errorf("got %q, want %q", got, tt.want)
				}
			})
		}
		for _, tt := range []struct {
			name string
			req  host.ExecRequest
			want string
		}{
			{"no such user", host.ExecRequest{User: "nobody"}, `user "nobody"`},
			{"a folder that is not there", host.ExecRequest{WorkDir: "/none"}, "chdir to cwd"},
		} {
			t.Run(tt.name, func(t *testing.T) {
				tt.req.Group, tt.req.Container, tt.req.Args = "g", "root", []string{"/bin/true"}
				if _, err := c.Exec(t.Context(), tt.req); err == nil || !strings.Contains(err.Error(), tt.want) || hint.Of(err) == "" {
					t.Errorf("error %v with hint %q, want %q", err, hint.Of(err), tt.want)
				}
			})
		}
	})
}

// What a container makes of its files does not hold up the daemon, and leads to no file of the
// host.
func TestRootExecAsUserOfABadFile(t *testing.T) {
	archive := busyboxArchive(t)
	const out = "../../../../../../../../.."
	cases := []struct{ name, make, want string }{
		{"pipe", "busybox mkfifo /etc/passwd", "the container's /etc/passwd: not a regular file"},
		{"large", "dd if=/dev/zero of=/etc/passwd bs=1024 count=1025", "the container's /etc/passwd: more than 1048576 bytes"},
		{"link", "busybox ln -s " + out + "/etc/shadow /etc/passwd; echo inside:x:5:5::/:/ >/etc/shadow", `user "root2"`},
		{"self", "busybox ln -s /proc/1/root/etc/passwd /etc/passwd", "etc/passwd"},
	}
	var containers []spec.Container
	for _, tt := range cases {
		containers = append(containers, script(tt.name, spec.App, "busybox rm /etc/passwd; "+tt.make+"; echo made; sleep 1000"))
	}
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, containers...)
		r.run()
		for _, tt := range cases {
			t.Run(tt.name, func(t *testing.T) {
				r.says(tt.name, "made")
				_, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: tt.name, Args: []string{"/bin/true"}, User: "root2"})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		}
	})
}

// When its time is over, a command is ended, with all that it has started. Others go on.
func TestRootExecTimeout(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		r := newHarness(t, c, archive, script("app", spec.App, "sleep 1111"))
		r.run()
		r.asked(host.ExecRequest{Container: "app"}, "sleep 2221 >/dev/null 2>&1 &") // what goes on behind a command that ended by itself
		line := "trap '' TERM INT HUP; sleep 3331 & (sleep 3332 &) ; busybox setsid sh -c 'sleep 3333; true' & (busybox nohup sh -c 'sleep 3334; true' &) ; sleep 3335; true"
		began := time.Now()
		_, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", line}, Timeout: 2 * time.Second})
		if !errors.Is(err, host.ErrTimedOut) || !strings.Contains(err.Error(), "did not end within 2s") {
			t.Errorf("error %v, want %v", err, host.ErrTimedOut)
		}
		if took := time.Since(began); took < 2*time.Second || took > time.Minute {
			t.Errorf("ended after %s", took)
		}
		ps := r.ps("app")
		for program, goes := range map[string]bool{"1111": true, "2221": true, "333": false} {
			if strings.Contains(ps, program) != goes {
				t.Errorf("%s goes on: %t, want %t:\n%s", program, !goes, goes, ps)
			}
		}
		// The control: a command that ends in time.
		status, err := c.Exec(t.Context(), host.ExecRequest{Group: "g", Container: "app", Args: []string{"/bin/sh", "-c", "exit 3"}, Timeout: time.Minute})
		if err != nil || status != 3 {
			t.Errorf("status %d, %v", status, err)
		}
		r.noExecs()
	})
}
