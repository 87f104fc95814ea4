package life

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestBadInput checks that each mistake gives one clear error, with the place if there is one, and
// has no other effect.
func TestBadInput(t *testing.T) {
	m := machine.New(t, "")
	short := cutShort(t, machine.AttackImage)
	var taken net.Listener
	machine.MustInNetns(t, m.Host, func() (err error) { taken, err = net.Listen("tcp", ":8999"); return err })
	defer taken.Close()
	group := func(body string) string { return "group \"g\" {\n" + body + "\n}\n" }
	app := fmt.Sprintf("  app \"app\" {\n    image = %q\n", "oci-archive:"+strings.TrimPrefix(machine.AttackImage, "oci-archive:"))
	amb := strings.Replace(app, `app "app"`, `ambassador "amb"`, 1)
	listens := `    command = ["/attack", "listen", "7000"]` + "\n  }\n"
	for _, c := range []struct {
		name, text string
		status     int
		says       []string
	}{
		{"unknown attribute", group("  egress = \"none\"\n" + app + "    imag = \"x\"\n  }"), 2, []string{"bad.hcl:5", "imag", "image"}},
		{"two ambassadors", group(app + listens + amb + listens + strings.Replace(amb, `"amb"`, `"amb2"`, 1) + listens), 2, []string{"bad.hcl:10", "Second ambassador", "one door"}},
		{"publish on a member", group(app + "    publish \"x\" {\n      host = 1\n      port = 1\n    }\n  }\n" + amb + listens), 2, []string{"bad.hcl:4", "ambassador"}},
		{"a member asking for NET_RAW", group(app + "    capabilities = [\"NET_RAW\"]\n  }\n" + amb + listens), 2, []string{"bad.hcl:4", "NET_RAW"}},
		{"a host namespace", group(app + "    network_mode = \"host\"\n  }\n" + amb + listens), 2, []string{"bad.hcl:4", "network_mode"}},
		{"containerd's socket", group(app + listens + amb + listens + "  volume \"v\" {\n    host = \"/run/containerd/containerd.sock\"\n  }"), 2, []string{"bad.hcl", "containerd"}},
		{"an image that isn't there", group("  egress = \"none\"\n  app \"app\" {\n    image = \"oci-archive:/nowhere/x.tar\"\n  }"), 1, []string{"/nowhere/x.tar", "no such file"}},
		{"a registry that isn't there", group("  egress = \"none\"\n  app \"app\" {\n    image = \"127.0.0.1:9/x:1\"\n  }"), 1, []string{"127.0.0.1:9/x:1", "hint"}},
		{"an archive cut short", group(fmt.Sprintf("  egress = \"none\"\n  app \"app\" {\n    image = \"oci-archive:%s\"\n  }", short)), 1, []string{short, "cut short"}},
		{"a port already taken", group(app + listens + amb + "    publish \"x\" {\n      host = 8999\n      port = 7000\n    }\n" + listens), 1, []string{"8999", fmt.Sprintf("(pid %d)", os.Getpid()), "hint"}},
		{"a group name too long", strings.Replace(group("  egress = \"none\"\n"+app+listens), `"g"`, `"`+strings.Repeat("g", 41)+`"`, 1), 2, []string{"bad.hcl:1", "40"}},
		{"a file that half exists", group(app + listens)[:60], 2, []string{"bad.hcl"}},
		{"no such command in the image", group("  egress = \"none\"\n" + app + "    command = [\"/nowhere\"]\n  }"), 1, []string{"/nowhere", "hint"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := m.Write("bad.hcl", c.text)
			said := m.Fails(c.status, "apply", path)
			for _, want := range c.says {
				if !strings.Contains(said, want) {
					t.Errorf("the error doesn't say %q:\n%s", want, said)
				}
			}
			if n := strings.Count(said, "\nError:") + strings.Count(said, "sallyport: error:"); n != 1 {
				t.Errorf("%d errors, want one:\n%s", n, said)
			}
			if g := m.PS(); len(g) != 0 {
				t.Errorf("something was installed: %+v", g)
			}
			m.CheckNoGroup(t)
		})
	}
}

// TestBadHost starts the daemon on hosts that lack something. It ends at once, and its error has a
// hint.
func TestBadHost(t *testing.T) {
	if os.Geteuid() != 0 {
		machine.Need(t, "needs root")
	}
	bare := t.TempDir() // a PATH with a containerd and its shim, and no runc
	for _, name := range []string{"containerd", "containerd-shim-runc-v2"} {
		real, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(real, filepath.Join(bare, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name  string
		shell string
		says  []string
	}{
		{"no root", `exec setpriv --reuid=65534 --regid=65534 --clear-groups "$@"`, []string{"root", "hint"}},
		{"no runc", `PATH=` + bare + ` exec "$@"`, []string{"runc", "hint"}},
		{"no containerd", `PATH=/nowhere exec "$@"`, []string{"containerd", "hint"}},
		{"no cgroup v2", `exec unshare -m sh -c 'umount /sys/fs/cgroup/unified && exec "$@"' sh "$@"`, []string{"cgroup v2", "hint"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := machine.NewNetwork(t)
			root, err := os.MkdirTemp("/tmp", "sp")
			if err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(root)
			cmd := exec.Command("/bin/sh", "-c", c.shell, "sh", machine.Binary, "daemon", "--root", root, "--containerd", "private")
			var said bytes.Buffer
			cmd.Stderr = &said
			err = machine.InNetns(s.Host, cmd.Run)
			if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 {
				t.Errorf("got %v, want exit status 1", err)
			}
			for _, want := range c.says {
				if !strings.Contains(said.String(), want) {
					t.Errorf("the error doesn't say %q:\n%s", want, &said)
				}
			}
		})
	}
}

// cutShort copies an archive without its last third.
func cutShort(t testing.TB, image string) string {
	t.Helper()
	whole, err := os.ReadFile(strings.TrimPrefix(image, "oci-archive:"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "short.tar")
	if err := os.WriteFile(path, whole[:len(whole)*2/3], 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
