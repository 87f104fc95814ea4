package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

func TestListenMode(t *testing.T) {
	old := unix.Umask(0) // the umask that removes nothing
	defer unix.Umask(old)
	path := filepath.Join(t.TempDir(), "s.sock")
	l, err := Listen(path, Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode(); got != os.ModeSocket|0o600 {
		t.Errorf("mode %v, want Srw-------", got)
	}
}

func TestListenReplacesADeadSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 1), unix.Close(fd)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("there is no dead socket to replace: %v", err)
	}
	l, err := Listen(path, Access{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after Close the socket is still there: %v", err)
	}
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file, long := filepath.Join(dir, "file"), filepath.Join(dir, strings.Repeat("x", 108))
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, ServerConfig{})
	for _, tt := range []struct{ name, path, want, hint string }{
		{"a running daemon", d.socket, "another daemon is running: it answers at " + d.socket, "stop that one first, or give this one a run folder of its own"},
		{"a file", file, file + " is not a socket, so the control socket can't replace it", "move it away"},
		{"a long path", long, fmt.Sprintf("the path of the control socket has %d bytes, the kernel allows 107: %s", len(long), long), "choose a shorter run folder"},
		{"no folder", dir + "/none/s", "open the control socket: listen unix " + dir + "/none/s: bind: no such file or directory", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Listen(tt.path, Access{})
			if err == nil {
				_ = l.Close()
			}
			checkProblem(t, err, tt.want, tt.hint)
		})
	}
	if _, err := d.Version(t.Context()); err != nil {
		t.Errorf("the running daemon afterwards: %v", err)
	}
}

// Another socket has the same rules, and its own name in errors.
func TestListenFor(t *testing.T) {
	dir := t.TempDir()
	path, file := filepath.Join(dir, "s"), filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ListenFor("metrics socket", path, Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct{ path, want, hint string }{
		{path, "another program answers at " + path + ", so the metrics socket can't replace it", "choose another path"},
		{file, file + " is not a socket, so the metrics socket can't replace it", "move it away"},
		{dir + "/none/s", "open the metrics socket: listen unix " + dir + "/none/s: bind: no such file or directory", ""},
	} {
		other, err := ListenFor("metrics socket", tt.path, Access{})
		if err == nil {
			_ = other.Close()
		}
		checkProblem(t, err, tt.want, tt.hint)
	}
}

func TestNoDaemon(t *testing.T) {
	const hint = `start it: "sallyport daemon" as root, or "systemctl start sallyport" where it is a service`
	path := filepath.Join(t.TempDir(), "s.sock")
	c := NewClient(path)
	_, err := c.Status(t.Context(), "")
	checkProblem(t, err, "no daemon answers at "+path, hint)
	checkProblem(t, c.Apply(t.Context(), nil, nil), "no daemon answers at "+path, hint)
	_, err = c.Exec(t.Context(), host.ExecRequest{Group: "web", Container: "app", Args: []string{"id"}})
	checkProblem(t, err, "no daemon answers at "+path, hint)
}

// connectVar, if set, makes the test program a client: it asks the daemon at that socket for its
// version and prints the answer.
const connectVar = "SALLYPORT_TEST_CONNECT"

func connectAsChild() bool {
	socket := os.Getenv(connectVar)
	if socket == "" {
		return false
	}
	if os.Getenv(everythingVar) != "" {
		fmt.Print(tryEverything(NewClient(socket)))
		return true
	}
	_, err := NewClient(socket).Version(context.Background())
	var problem *hint.Error
	if errors.As(err, &problem) {
		err = fmt.Errorf("%w; hint: %s", err, problem.Hint)
	}
	fmt.Print(err)
	return true
}

func TestRootAdmitsOnlyRoot(t *testing.T) {
	needRoot(t)
	d := startDaemon(t, ServerConfig{})
	dir := filepath.Dir(d.socket)
	program := copyProgram(t, dir)
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil { // all users can reach the socket
			t.Fatal(err)
		}
	}
	ask := func(uid uint32) string {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = []string{connectVar + "=" + d.socket}
		cmd.Dir = "/"
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ask as %d: %v", uid, err)
		}
		return string(out)
	}
	refused := "the daemon at " + d.socket + " admits only root, and the groups that its configuration names; hint: run it again with sudo"
	const nobody = 65534
	for _, tt := range []struct {
		name string
		mode os.FileMode
		uid  uint32
		want string
	}{
		{"root", 0o600, 0, "<nil>"},
		{"another user, refused by the mode", 0o600, nobody, refused},
		{"another user, refused by the credentials", 0o666, nobody, refused},
		{"root, afterwards", 0o666, 0, "<nil>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.Chmod(d.socket, tt.mode); err != nil {
				t.Fatal(err)
			}
			if got := ask(tt.uid); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	if log := d.log.String(); strings.Count(log, "uid=65534") != 1 {
		t.Errorf("the log does not have the refused user once:\n%s", log)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("needs root")
		}
		t.Skip("needs root")
	}
}

// copyProgram copies the test program to a place where all users can run it.
func copyProgram(t *testing.T, dir string) string {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(filepath.Join(dir, "ask"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Name()
}
