package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// A Machine runs the built binary as its daemon in the host namespace of a [Network]. Everything of
// it lies below one temporary folder.
type Machine struct {
	*Network
	T      testing.TB
	Binary string   // the sallyport to run
	Root   string   // --root
	Groups string   // the folder of its group files
	Server string   // folder of the containerd to start. If it is empty, PATH has it.
	Args   []string // more of the daemon's command line
	Daemon *exec.Cmd
	Out    *Output // of the daemon

	mounts  *os.File // of OwnMounts
	Unmount func()   // unmounts what the test has mounted below Root. It may be nil.
}

// Servers returns the containerds that everything must work with: Debian's and the newest.
func Servers(t testing.TB) map[string]string {
	newest := os.Getenv("SALLYPORT_CONTAINERD_NEWEST")
	if newest == "" {
		Need(t, "SALLYPORT_CONTAINERD_NEWEST names no folder; run: make integration")
	}
	return map[string]string{"oldest": "", "newest": newest}
}

// New starts a daemon. When the test ends, it ends everything that was made, and checks that
// nothing is left.
func New(t testing.TB, server string) *Machine {
	t.Helper()
	m := NewIdle(t, server)
	m.Start()
	return m
}

// NewIdle is New without the start of the daemon.
func NewIdle(t testing.TB, server string) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		Need(t, "needs root")
	}
	// The path is short because that of a unix socket has at most 107 characters.
	root, err := os.MkdirTemp("/tmp", "sp")
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{Network: NewNetwork(t), T: t, Binary: Binary, Root: root, Groups: filepath.Join(root, "groups.d"), Server: server}
	t.Cleanup(m.close)
	return m
}

// ContainerdNamespace is the instance's own. The shims of all instances put their sockets into one
// folder, and name them by it.
func (m *Machine) ContainerdNamespace() string { return filepath.Base(m.Root) }

// Start runs the daemon and waits until it answers and has looked at all groups.
func (m *Machine) Start(env ...string) {
	m.T.Helper()
	m.Launch(env...)
	m.awaitDaemon()
}

// Launch runs the daemon and does not wait for it.
func (m *Machine) Launch(env ...string) {
	m.T.Helper()
	m.Daemon = exec.Command(m.Binary, m.DaemonArgs()...)
	m.Out = &Output{}
	m.Daemon.Stdout, m.Daemon.Stderr = m.Out, m.Out
	m.Daemon.Env = append(os.Environ(), env...)
	if err := InNetns(m.Host, func() error {
		if err := m.enterMounts(); err != nil {
			return err
		}
		return m.Daemon.Start()
	}); err != nil {
		m.T.Fatal(err)
	}
}

func (m *Machine) awaitDaemon() {
	m.T.Helper()
	if err := Retry(time.Minute, func() error {
		groups, err := m.Client().Status(context.Background(), "")
		if slices.ContainsFunc(groups, func(g group.Status) bool { return strings.Contains(g.Waiting, "until the daemon has ") }) {
			err = errors.New("it has not looked at all groups yet")
		}
		if err != nil && m.Exited() {
			m.Kill()
			m.T.Fatalf("the daemon ended:\n%s", m.Out)
		}
		return err
	}); err != nil {
		m.Daemon.Process.Signal(syscall.SIGQUIT) // prints its goroutines
		m.Daemon.Wait()
		m.Daemon = nil
		m.T.Fatalf("the daemon does not answer: %v\n%s", err, m.Out)
	}
}

// DaemonArgs returns the command line of the daemon.
func (m *Machine) DaemonArgs() []string {
	args := []string{"daemon", "--root", m.Root, "--containerd", "private", "--cgroup-root", m.CgroupRoot(),
		"--containerd-namespace", m.ContainerdNamespace(), "--prefix4", groups4, "--prefix6", groups6}
	if m.Server != "" {
		args = append(args, "--containerd-bin", filepath.Join(m.Server, "containerd"))
	}
	return append(args, m.Args...)
}

// Exited reports whether the daemon has ended. It must still be waited for.
func (m *Machine) Exited() bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, m.Daemon.Process.Pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
	return err == nil && info.Signo == int32(unix.SIGCHLD)
}

// Stop ends the daemon as an operator would. Groups run on.
func (m *Machine) Stop() {
	m.T.Helper()
	m.Daemon.Process.Signal(syscall.SIGTERM)
	if err := m.Daemon.Wait(); err != nil {
		m.T.Errorf("the daemon's end: %v\n%s", err, m.Out)
	}
	m.Daemon = nil
}

// Kill ends the daemon as a crash would.
func (m *Machine) Kill() {
	m.Daemon.Process.Kill()
	m.Daemon.Wait()
	m.Daemon = nil
}

// Freeze stops the daemon, so that it doesn't put back what a control takes away. The returned
// function lets it go on.
func (m *Machine) Freeze() (thaw func()) {
	daemon := m.Daemon.Process
	daemon.Signal(syscall.SIGSTOP)
	return func() { daemon.Signal(syscall.SIGCONT) }
}

// close removes every group, ends the daemon and checks that it left nothing behind.
func (m *Machine) close() {
	if m.Daemon == nil {
		m.Start()
	}
	for _, g := range m.PS() {
		m.Try("rm", g.Name)
	}
	m.Stop()
	if m.T.Failed() {
		m.T.Logf("the daemon said:\n%s", m.Out)
	}
	if m.Unmount != nil {
		m.Unmount()
	}
	if m.mounts != nil {
		m.mounts.Close()
	}
	m.checkNothingLeft()
	os.RemoveAll(m.Root)
}

// Try runs a command and returns what it printed. If its exit status is not zero, the error holds
// the text of stderr.
func (m *Machine) Try(args ...string) (string, error) { return m.Feed("", args...) }

// Feed is Try with a text on standard input.
func (m *Machine) Feed(text string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.Binary, append([]string{"--root", m.Root}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if text != "" {
		cmd.Stdin = strings.NewReader(text)
	}
	err := InNetns(m.Host, cmd.Run)
	if err != nil {
		return stdout.String(), fmt.Errorf("sallyport %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return stdout.String(), nil
}

// All runs a command and returns all that it printed, with any exit status.
func (m *Machine) All(args ...string) string {
	m.T.Helper()
	cmd := exec.Command(m.Binary, append([]string{"--root", m.Root}, args...)...)
	var out Output
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = InNetns(m.Host, cmd.Run)
	return out.String()
}

// ExitStatus returns the exit status in an error of Try. It is -1 if there is none in it.
func ExitStatus(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}

// Run is Try, and fails the test with its error.
func (m *Machine) Run(args ...string) string {
	m.T.Helper()
	out, err := m.Try(args...)
	if err != nil {
		m.T.Fatal(err)
	}
	return out
}

// Fails runs a command that must end with an exit status, and returns its error with the text of
// stderr.
func (m *Machine) Fails(status int, args ...string) string {
	m.T.Helper()
	_, err := m.Try(args...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status {
		m.T.Fatalf("sallyport %s: got %v, want exit status %d", strings.Join(args, " "), err, status)
	}
	return err.Error()
}

// Write writes a group file into a folder of the operator, not of the daemon.
func (m *Machine) Write(name, text string) string {
	m.T.Helper()
	path := filepath.Join(m.Root, "mine", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		m.T.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		m.T.Fatal(err)
	}
	return path
}

// Apply writes a group file and applies it. It returns when the groups have run for half a second:
// a program without a probe needs a moment to open its port.
func (m *Machine) Apply(name, text string) {
	m.T.Helper()
	m.Run("apply", "--settle", "500ms", m.Write(name, text))
}

// PS returns the status of every group.
func (m *Machine) PS() []group.Status {
	m.T.Helper()
	groups, err := m.Client().Status(context.Background(), "")
	if err != nil {
		m.T.Fatal(err)
	}
	return groups
}

// Status returns the status of a group.
func (m *Machine) Status(name string) group.Status {
	m.T.Helper()
	groups, err := m.Client().Status(context.Background(), name)
	if err != nil {
		m.T.Fatal(err)
	}
	return groups[0]
}

// Client asks the daemon what ps and status ask it. Tests ask so often that starting the command
// for each was much of what they cost.
func (m *Machine) Client() *api.Client {
	return api.NewClient(filepath.Join(m.Root, "run", "sallyport.sock"))
}

// Pids maps each running container of a group to its process.
func (m *Machine) Pids(group string) map[string]uint32 {
	m.T.Helper()
	return PidsOf(m.Status(group))
}

// PidsOf maps each running container of a status to its process.
func PidsOf(g group.Status) map[string]uint32 {
	pids := map[string]uint32{}
	for _, c := range g.Containers {
		if c.Task == host.TaskRunning {
			pids[c.Name] = c.PID
		}
	}
	return pids
}

// Netns opens a group's network namespace. It is closed when the test ends.
func (m *Machine) Netns(group string) netns.NsHandle {
	m.T.Helper()
	ns, err := netns.GetFromPath(filepath.Join(m.Root, "run", "netns", group))
	if err != nil {
		m.T.Fatalf("namespace of %s: %v", group, err)
	}
	m.T.Cleanup(func() { ns.Close() })
	return ns
}

// Events returns the events of one kind of a group, or of all groups if group is empty.
func (m *Machine) Events(name string, kind group.EventKind) (found []group.Event) {
	m.T.Helper()
	args := []string{"events", "--json"}
	if name != "" {
		args = append(args, name)
	}
	for dec := json.NewDecoder(strings.NewReader(m.Run(args...))); dec.More(); {
		var e group.Event
		if err := dec.Decode(&e); err != nil {
			m.T.Fatal(err)
		}
		if e.Kind == kind {
			found = append(found, e)
		}
	}
	return found
}

// AwaitRunning waits until groups run without an error.
func (m *Machine) AwaitRunning(groups ...string) {
	m.T.Helper()
	for _, name := range groups {
		Eventually(m.T, time.Minute, name+" runs", func() error {
			g := m.Status(name)
			if g.State != group.Running || g.Error != "" {
				return fmt.Errorf("%s: %s", g.State, g.Error)
			}
			return nil
		})
	}
}
