package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim"
)

// A machine runs the built binary as its daemon, everything below one temporary folder, in a site's host namespace.
type machine struct {
	*site
	t      testing.TB
	root   string // --root
	groups string // where its group files are
	server string // folder of the containerd to start; empty: PATH
	daemon *exec.Cmd
	out    *output // of the daemon

	unmount func() // what the test has mounted below root; nil: nothing
}

// servers are the containerds that everything must work with: Debian's and the newest.
func servers(t testing.TB) map[string]string {
	newest := os.Getenv("SALLYPORT_CONTAINERD_NEWEST")
	if newest == "" {
		need(t, "SALLYPORT_CONTAINERD_NEWEST names no folder; run: make integration")
	}
	return map[string]string{"oldest": "", "newest": newest}
}

// need ends a test whose machine lacks something: a skip on a laptop, a failure in CI.
func need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// newMachine starts a daemon and ends everything it made when the test ends, checking that nothing stays.
func newMachine(t testing.TB, server string) *machine {
	t.Helper()
	m := newIdleMachine(t, server)
	m.start()
	return m
}

// newIdleMachine is one whose daemon has still to be started.
func newIdleMachine(t testing.TB, server string) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		need(t, "needs root")
	}
	// Short: the path of a unix socket has 107 characters.
	root, err := os.MkdirTemp("/tmp", "sp")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{site: newSite(t), t: t, root: root, groups: filepath.Join(root, "groups.d"), server: server}
	t.Cleanup(m.close)
	return m
}

// namespace is containerd's for this instance: shims of all instances put their sockets into one folder, named by it.
func (m *machine) namespace() string { return filepath.Base(m.root) }

// start runs the daemon and waits until it answers.
func (m *machine) start(env ...string) {
	m.t.Helper()
	m.daemon = exec.Command(binary, m.daemonArgs()...)
	m.out = &output{}
	m.daemon.Stdout, m.daemon.Stderr = m.out, m.out
	m.daemon.Env = append(os.Environ(), env...)
	if err := startIn(m.host, m.daemon); err != nil {
		m.t.Fatal(err)
	}
	if err := retry(20*time.Second, func() error {
		_, err := m.try("ps")
		if err != nil && m.exited() {
			m.kill()
			m.t.Fatalf("the daemon ended:\n%s", m.out)
		}
		return err
	}); err != nil {
		m.daemon.Process.Signal(syscall.SIGQUIT) // what it waits for
		m.daemon.Wait()
		m.daemon = nil
		m.t.Fatalf("the daemon does not answer: %v\n%s", err, m.out)
	}
}

func (m *machine) daemonArgs() []string {
	args := []string{"daemon", "--root", m.root, "--containerd", "private", "--cgroup-root", m.cgroupRoot(),
		"--containerd-namespace", m.namespace(), "--prefix4", groups4, "--prefix6", groups6}
	if m.server != "" {
		args = append(args, "--containerd-bin", filepath.Join(m.server, "containerd"))
	}
	return args
}

// exited says whether the daemon has; it is still to be waited for.
func (m *machine) exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, m.daemon.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == int32(unix.SIGCHLD)
}

// stop ends the daemon as an operator would; groups run on.
func (m *machine) stop() {
	m.t.Helper()
	m.daemon.Process.Signal(syscall.SIGTERM)
	if err := m.daemon.Wait(); err != nil {
		m.t.Errorf("the daemon's end: %v\n%s", err, m.out)
	}
	m.daemon = nil
}

// kill ends the daemon as a crash would.
func (m *machine) kill() {
	m.daemon.Process.Kill()
	m.daemon.Wait()
	m.daemon = nil
}

// freeze keeps the daemon from putting back what a control takes away, until it is let go on.
func (m *machine) freeze() (thaw func()) {
	daemon := m.daemon.Process
	daemon.Signal(syscall.SIGSTOP)
	return func() { daemon.Signal(syscall.SIGCONT) }
}

// close removes every group, ends the daemon and checks that nothing of it stays on the machine.
func (m *machine) close() {
	if m.daemon == nil {
		m.start()
	}
	for _, g := range m.ps() {
		m.try("rm", g.Name)
	}
	m.stop()
	if m.t.Failed() {
		m.t.Logf("the daemon said:\n%s", m.out)
	}
	if m.unmount != nil {
		m.unmount()
	}
	m.checkNothingLeft()
	os.RemoveAll(m.root)
}

// try runs a verb and returns what it printed; a non-zero exit is an error with the text of stderr.
func (m *machine) try(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, append([]string{"--root", m.root}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := inNetns(m.host, cmd.Run)
	if err != nil {
		return stdout.String(), fmt.Errorf("sallyport %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatal(err)
	}
	return out
}

// refused runs a verb that must fail with the exit status, and returns its stderr.
func (m *machine) refused(status int, args ...string) string {
	m.t.Helper()
	_, err := m.try(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		m.t.Fatalf("sallyport %s: got %v, want exit status %d", strings.Join(args, " "), err, status)
	}
	return err.Error()
}

// write puts a group file into a folder of the operator's, not the daemon's.
func (m *machine) write(name, text string) string {
	m.t.Helper()
	path := filepath.Join(m.root, "mine", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	return path
}

func (m *machine) apply(name, text string) {
	m.t.Helper()
	m.run("apply", m.write(name, text))
}

func (m *machine) ps() []shim.GroupStatus {
	m.t.Helper()
	var groups []shim.GroupStatus
	if err := json.Unmarshal([]byte(m.run("ps", "--json")), &groups); err != nil {
		m.t.Fatal(err)
	}
	return groups
}

func (m *machine) status(group string) shim.GroupStatus {
	m.t.Helper()
	var g shim.GroupStatus
	if err := json.Unmarshal([]byte(m.run("status", "--json", group)), &g); err != nil {
		m.t.Fatal(err)
	}
	return g
}

// pids maps each running container of a group to its process.
func (m *machine) pids(group string) map[string]uint32 {
	m.t.Helper()
	pids := map[string]uint32{}
	for _, c := range m.status(group).Containers {
		if c.Task == shim.TaskRunning {
			pids[c.Name] = c.PID
		}
	}
	return pids
}

// netns opens a group's namespace for as long as the test.
func (m *machine) netns(group string) netns.NsHandle {
	m.t.Helper()
	ns, err := netns.GetFromPath(filepath.Join(m.root, "run", "netns", group))
	if err != nil {
		m.t.Fatalf("namespace of %s: %v", group, err)
	}
	m.t.Cleanup(func() { ns.Close() })
	return ns
}

// eventually looks again until f is satisfied. It is for what happens by itself; a verb is waited for by its own end.
func eventually(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := retry(limit, f); err != nil {
		t.Fatalf("not within %v: %s: %v", limit, what, err)
	}
}

// retry is eventually for a goroutine, which may not end the test.
func retry(limit time.Duration, f func() error) (err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}
