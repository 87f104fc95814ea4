// Package helper makes socket calls in a network namespace and from a cgroup. Each helper is a
// process of its own, which the kernel puts there before its first instruction. It reads calls from
// a pipe. The self-test of the rules uses helpers, and so do the tests.
//
// Pitfall: the process is this very binary under another name, so main, or TestMain, has to call
// [Main] first thing.
package helper

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// processName is argv[0] of a helper's process.
const processName = "sallyport-helper"

// Main serves calls and ends the process, if this process was started as a helper. Otherwise it
// returns at once.
func Main() {
	if len(os.Args) == 0 || os.Args[0] != processName {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A Config describes where a helper runs.
type Config struct {
	NetNS  *os.File            // required: network namespace
	Cgroup *os.File            // optional: directory of a v2 cgroup; nil: ours
	Cred   *syscall.Credential // optional: user and group; nil: ours
	// Program is the binary that calls Main. Optional: empty is this one.
	Program string
}

// A Process is a helper. It is safe for concurrent use, one call at a time.
type Process struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// Start starts a helper. It ends with Close, or with ctx.
func Start(ctx context.Context, c Config) (*Process, error) {
	cmd := exec.CommandContext(ctx, cmp.Or(c.Program, "/proc/self/exe"))
	cmd.Args = []string{processName}
	cmd.ExtraFiles = []*os.File{c.NetNS}
	cmd.Stderr = os.Stderr
	// No Pdeathsig: it follows the thread that forks, and Go's threads come and go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.Cred}
	cmd.Env = []string{"GOMAXPROCS=1"}
	if c.Cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(c.Cgroup.Fd())
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start helper: %w", err)
	}
	p := &Process{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out))}
	if _, err := p.Call(Request{Name: callHello}); err != nil {
		p.Close()
		return nil, fmt.Errorf("start helper: no answer (does main call helper.Main?): %w", err)
	}
	return p, nil
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Close ends the process and waits for its end. The sockets that the process alone has are closed.
// A second call does nothing.
func (p *Process) Close() error {
	p.in.Close()
	done := time.AfterFunc(10*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer done.Stop()
	if err := p.cmd.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end helper: %w", err)
	}
	return nil
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// Call has the process make one call. An error of the call is a system call error with its number.
func (p *Process) Call(r Request) (Reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return Reply{}, err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return Reply{}, fmt.Errorf("helper: %w", err)
	}
	var got Reply
	if err := p.out.Decode(&got); err != nil {
		return Reply{}, fmt.Errorf("helper: %w", err)
	}
	if got.Errno != 0 {
		return got, os.NewSyscallError(r.Name, got.Errno)
	}
	return got, nil
}

// A Socket is a socket of a helper's process.
type Socket struct {
	process *Process
	fd      int
	Took    time.Duration // how long the last call took, measured in the process
}

// Socket makes a socket: unix.AF_INET, unix.SOCK_STREAM, 0.
func (p *Process) Socket(domain, kind, protocol int) (*Socket, error) {
	r, err := p.Call(Request{Name: callSocket, Ints: []int{domain, kind, protocol}})
	return p.SocketAt(r.Socket), err
}

// SocketAt returns the socket with that descriptor in the process.
func (p *Process) SocketAt(fd int) *Socket { return &Socket{process: p, fd: fd} }

// TCP makes a TCP socket of the address's family.
func (p *Process) TCP(like netip.Addr) (*Socket, error) {
	return p.Socket(family(like), unix.SOCK_STREAM, 0)
}

// UDP makes a UDP socket of the address's family.
func (p *Process) UDP(like netip.Addr) (*Socket, error) {
	return p.Socket(family(like), unix.SOCK_DGRAM, 0)
}

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// Call makes a call on the socket: it fills in Socket of the request.
func (s *Socket) Call(r Request) (Reply, error) {
	r.Socket = s.fd
	got, err := s.process.Call(r)
	s.Took = time.Duration(got.Took)
	return got, err
}

// Bind gives the socket an address of its own. Port 0 means a free one.
func (s *Socket) Bind(at netip.AddrPort) error {
	_, err := s.Call(Request{Name: callBind, Addr: at})
	return err
}

// Connect connects. A stream that is not connected after the timeout is unix.ETIMEDOUT.
func (s *Socket) Connect(to netip.AddrPort, timeout time.Duration) error {
	_, err := s.Call(Request{Name: callConnect, Addr: to, Timeout: timeout})
	return err
}

// BindUnix gives a unix socket a name: "@name" is abstract, and the empty name lets the kernel
// choose one (autobind).
func (s *Socket) BindUnix(name string) error {
	_, err := s.Call(Request{Name: callBind, Unix: &name})
	return err
}

// ConnectUnix connects to the unix socket with that name.
func (s *Socket) ConnectUnix(name string) error {
	_, err := s.Call(Request{Name: callConnect, Unix: &name})
	return err
}

// SendToUnix writes one datagram to the unix socket with that name.
func (s *Socket) SendToUnix(name, data string) error {
	_, err := s.Call(Request{Name: callSendTo, Unix: &name, Data: []byte(data)})
	return err
}

// Listen lets a bound stream accept.
func (s *Socket) Listen() error {
	_, err := s.Call(Request{Name: callListen})
	return err
}

// SendTo writes one datagram.
func (s *Socket) SendTo(to netip.AddrPort, data string) error {
	_, err := s.Call(Request{Name: callSendTo, Data: []byte(data), Addr: to})
	return err
}

// Close closes the socket.
func (s *Socket) Close() error {
	_, err := s.Call(Request{Name: callClose})
	return err
}
