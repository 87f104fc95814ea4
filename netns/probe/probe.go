// Package probe makes socket calls in a network namespace and from a cgroup: each Probe is a process of its own, put there by
// the kernel before its first instruction, that does what it is told over a pipe. The self-test of the rules is made of
// probes, and so are the tests.
//
// What bites: the process is this very binary under another name, so main, or TestMain, has to call [Main] first thing.
package probe

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

// processName is argv[0] of a probe's process.
const processName = "sallyport-probe"

// Main does a probe's work and ends the process, if this process was started as a probe. Otherwise it returns at once.
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

// A Config says where a probe lives.
type Config struct {
	NetNS  *os.File            // required: network namespace
	Cgroup *os.File            // optional: directory of a v2 cgroup; nil: ours
	Cred   *syscall.Credential // optional: user and group; nil: ours
	// Program is the binary that calls Main. Optional: empty is this one.
	Program string
}

// A Probe is a process that makes socket calls. It is safe for concurrent use, one call at a time.
type Probe struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *json.Decoder
}

// Start starts a probe. It ends with Close, or with ctx.
func Start(ctx context.Context, c Config) (*Probe, error) {
	cmd := exec.CommandContext(ctx, cmp.Or(c.Program, "/proc/self/exe"))
	cmd.Args = []string{processName}
	cmd.ExtraFiles = []*os.File{c.NetNS}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.Cred} // no Pdeathsig: it follows the thread, and ours come and go
	cmd.Env = []string{"GOMAXPROCS=1"}
	if c.Cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(c.Cgroup.Fd())
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start probe: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start probe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start probe: %w", err)
	}
	p := &Probe{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out))}
	if _, err := p.call(request{Op: opHello}); err != nil {
		p.Close()
		return nil, fmt.Errorf("start probe: no answer (does main call probe.Main?): %w", err)
	}
	return p, nil
}

// PID is the process id.
func (p *Probe) PID() int { return p.cmd.Process.Pid }

// Close ends the process, and with it every socket that it alone has, and waits for its end. A second call does nothing.
func (p *Probe) Close() error {
	p.in.Close()
	done := time.AfterFunc(2*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer done.Stop()
	if err := p.cmd.Wait(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end probe: %w", err)
	}
	return nil
}

// Kill ends the process the hard way and waits for its end.
func (p *Probe) Kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *Probe) call(r request) (reply, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	if _, err := p.in.Write(append(b, '\n')); err != nil {
		return reply{}, fmt.Errorf("probe: %w", err)
	}
	var got reply
	if err := p.out.Decode(&got); err != nil {
		return reply{}, fmt.Errorf("probe: %w", err)
	}
	if got.Errno != 0 {
		return got, os.NewSyscallError(string(r.Op), got.Errno)
	}
	return got, nil
}

// A Socket is a socket of a probe's process.
type Socket struct {
	probe *Probe
	id    int
	Took  time.Duration // how long the last Connect or Send took, measured there
}

// Socket makes a socket: unix.AF_INET, unix.SOCK_STREAM, 0.
func (p *Probe) Socket(domain, kind, protocol int) (*Socket, error) {
	r, err := p.call(request{Op: opSocket, Ints: []int{domain, kind, protocol}})
	return &Socket{probe: p, id: r.ID}, err
}

// TCP and UDP make sockets of the family of an address.
func (p *Probe) TCP(of netip.Addr) (*Socket, error) { return p.Socket(family(of), unix.SOCK_STREAM, 0) }
func (p *Probe) UDP(of netip.Addr) (*Socket, error) { return p.Socket(family(of), unix.SOCK_DGRAM, 0) }

func family(a netip.Addr) int {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

func (s *Socket) call(r request) (reply, error) {
	r.ID = s.id
	got, err := s.probe.call(r)
	s.Took = time.Duration(got.Took)
	return got, err
}

// Connect connects; a stream that is not connected after the timeout is unix.ETIMEDOUT.
func (s *Socket) Connect(to netip.AddrPort, timeout time.Duration) error {
	_, err := s.call(request{Op: opConnect, Addr: to, Timeout: timeout})
	return err
}

// Bind gives the socket an address of its own; port 0 is a free one.
func (s *Socket) Bind(at netip.AddrPort) error {
	_, err := s.call(request{Op: opBind, Addr: at})
	return err
}

// Listen lets a bound stream accept.
func (s *Socket) Listen() error {
	_, err := s.call(request{Op: opListen})
	return err
}

// Accept waits for a connection; none within the timeout is unix.ETIMEDOUT.
func (s *Socket) Accept(timeout time.Duration) (*Socket, error) {
	r, err := s.call(request{Op: opAccept, Timeout: timeout})
	return &Socket{probe: s.probe, id: r.NewID}, err
}

// Send writes to a connected socket.
func (s *Socket) Send(data string) error {
	_, err := s.call(request{Op: opSend, Data: []byte(data)})
	return err
}

// SendTo writes one datagram.
func (s *Socket) SendTo(to netip.AddrPort, data string) error {
	_, err := s.call(request{Op: opSend, Data: []byte(data), Addr: to})
	return err
}

// Receive waits for data and returns what came first, and from where if that is not the other end of a connection; nothing
// within the timeout is unix.ETIMEDOUT.
func (s *Socket) Receive(timeout time.Duration) (string, netip.AddrPort, error) {
	r, err := s.call(request{Op: opReceive, Timeout: timeout})
	return string(r.Data), r.Addr, err
}

// SetInt sets a socket option that is a number.
func (s *Socket) SetInt(level, option, value int) error {
	_, err := s.call(request{Op: opSetInt, Ints: []int{level, option, value}})
	return err
}

// SetString sets a socket option that is a string, such as unix.SO_BINDTODEVICE.
func (s *Socket) SetString(level, option int, value string) error {
	_, err := s.call(request{Op: opSetString, Ints: []int{level, option}, Data: []byte(value)})
	return err
}

// PickAlways has every packet for the sockets that share this one's port given to the one that joined them at this place,
// counted from 0.
func (s *Socket) PickAlways(place int) error {
	_, err := s.call(request{Op: opPick, Ints: []int{place}})
	return err
}

// Local is the socket's own address.
func (s *Socket) Local() (netip.AddrPort, error) {
	r, err := s.call(request{Op: opLocal})
	return r.Addr, err
}

// OriginalDest is where an accepted connection was going before it was led here: SO_ORIGINAL_DST.
func (s *Socket) OriginalDest() (netip.AddrPort, error) {
	r, err := s.call(request{Op: opOriginalDest})
	return r.Addr, err
}

// Close closes the socket.
func (s *Socket) Close() error {
	_, err := s.call(request{Op: opClose})
	return err
}
