package egress

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/kernfile"
)

// A ping socket is a datagram socket for ICMP. Any process can make one whose group id is in
// net.ipv4.ping_group_range, which is one for the whole namespace. So where the ambassador may
// ping, a program on the members' cgroup refuses them such sockets. It runs in socket(2), for the
// cgroup of the calling process, and refuses all sockets for ICMP and ICMPv6, of either family.
// [Policy.Pings] has the rules that go with it, and comes after it.
//
// The fence alone is not enough: it sees what a ping socket sends and receives, but an ICMP error
// goes to the socket's error queue past every program (ping_err, sock_queue_err_skb). A member
// could also take the ambassador's echo id, and with it the answers.

// pingName is the name of the program.
const pingName = "sallyport_pings"

const createHook = ebpf.AttachCGroupInetSockCreate

// offsetProtocol is in struct bpf_sock.
const offsetProtocol = 12

func pingSpec() *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name:       pingName,
		Type:       ebpf.CGroupSock,
		AttachType: createHook,
		License:    "Apache-2.0",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, offsetProtocol, asm.Word),
			asm.Mov.Imm(asm.R0, 0),
			asm.JEq.Imm(asm.R2, unix.IPPROTO_ICMP, "refuse"),
			asm.JEq.Imm(asm.R2, unix.IPPROTO_ICMPV6, "refuse"),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return().WithSymbol("refuse"),
		},
	}
}

// pingProgram is the loaded program. A host whose groups don't ping never loads it.
var pingProgram = sync.OnceValues(func() (program, error) {
	p, err := load(pingSpec())
	p.shared = true
	return p, err
})

func pingBlueprint() blueprint { return blueprint{createHook, pingSpec().Instructions, pingProgram} }

// RefusePingSockets keeps every process in the cgroup and below it from making sockets for ICMP and
// ICMPv6: socket(2) fails with EPERM. A socket that is there already stays. No cgroup below may
// attach a program of its own. A second call changes nothing. [Unfence] undoes it too.
func RefusePingSockets(h cgroup.Hierarchies, path string) error {
	err := inCgroup(h, path, func(dir *os.File) error { return attach(dir, pingBlueprint()) })
	if err != nil {
		return fmt.Errorf("refuse ping sockets to cgroup %q: %w", path, err)
	}
	return nil
}

// PingSocketsRefused reports whether the cgroup is as [RefusePingSockets] leaves it. An absent
// cgroup is os.ErrNotExist.
func PingSocketsRefused(h cgroup.Hierarchies, path string) (ok bool, err error) {
	err = inCgroup(h, path, func(dir *os.File) error {
		ok, err = attached(dir, pingBlueprint())
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look for refused ping sockets of cgroup %q: %w", path, err)
	}
	return ok, nil
}

// LeavePingSockets undoes [RefusePingSockets]. A cgroup without the program is no error.
func LeavePingSockets(h cgroup.Hierarchies, path string) error {
	err := inCgroup(h, path, func(dir *os.File) error {
		found, err := query(dir, createHook)
		if err != nil {
			return err
		}
		return lookAt(found, func(p *ebpf.Program, info *ebpf.ProgramInfo) error {
			if info.Name != pingName {
				return nil
			}
			return link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: createHook})
		})
	})
	if err != nil {
		return fmt.Errorf("leave ping sockets to cgroup %q: %w", path, err)
	}
	return nil
}

func inCgroup(h cgroup.Hierarchies, path string, do func(dir *os.File) error) error {
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(dir)
}
