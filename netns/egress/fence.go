package egress

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// The fence is a program of five instructions on the members' cgroup: a packet that a member's socket sends, or is about to be
// given, passes on loopback and nowhere else. It asks the kernel's own question, which socket is this packet's, at the moment it
// is answered. The rules must ask earlier, and there a member can make the answers differ: sharing the ambassador's port by
// SO_REUSEPORT, with a program of its own that picks the socket, it was given 45 of 100 datagrams that the rules had taken for
// the ambassador's. So it closes what the rules can't see, and stands when the rules are flushed. The rules refuse at once and
// count; it does neither.
//
// It sees no packet that owns no socket: resets, last ACKs, and the SYN-ACK of a member's listener where the kernel answers with a
// cookie, which a listener without a backlog has it do. Those are the rules' alone.

// loopback is the index of lo in every network namespace.
const loopback = 1

// offsetIfindex is where struct __sk_buff has the index of the interface that the packet came by or leaves by.
const offsetIfindex = 40

func fenceSpec(direction ebpf.AttachType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name:       "sallyport_fence",
		Type:       ebpf.CGroupSKB,
		AttachType: direction,
		License:    "Apache-2.0",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, offsetIfindex, asm.Word),
			asm.Mov.Imm(asm.R0, 1),
			asm.JEq.Imm(asm.R2, loopback, "pass"),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return().WithSymbol("pass"),
		},
	}
}

var directions = []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress}

// fences are the loaded programs, one for each direction, and what tells them from others.
var fences = sync.OnceValues(func() (map[ebpf.AttachType]fence, error) {
	out := map[ebpf.AttachType]fence{}
	for _, d := range directions {
		p, err := ebpf.NewProgram(fenceSpec(d))
		if err != nil {
			return nil, fmt.Errorf("load program: %w", err)
		}
		info, err := p.Info()
		if err != nil {
			return nil, fmt.Errorf("look at program: %w", err)
		}
		out[d] = fence{p, info.Tag}
	}
	return out, nil
})

type fence struct {
	*ebpf.Program
	tag string // of the instructions: another process' program has the same
}

// Fence keeps every process in the cgroup and below it to loopback, for good: nothing below may attach a program of its own.
// A second call changes nothing.
func Fence(h cgroup.Hierarchies, path string) error {
	err := eachDirection(h, path, func(dir *os.File, d ebpf.AttachType, f fence) error {
		if ok, err := attached(dir, d, f); err != nil || ok {
			return err
		}
		// Without flags a program takes the place of the one before it.
		return link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: f.Program, Attach: d})
	})
	if err != nil {
		return fmt.Errorf("fence cgroup %q: %w", path, err)
	}
	return nil
}

// Unfence takes the fence away. A cgroup without one is no error.
func Unfence(h cgroup.Hierarchies, path string) error {
	err := eachDirection(h, path, func(dir *os.File, d ebpf.AttachType, f fence) error {
		if ok, err := attached(dir, d, f); err != nil || !ok {
			return err
		}
		return link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: f.Program, Attach: d})
	})
	if err != nil {
		return fmt.Errorf("unfence cgroup %q: %w", path, err)
	}
	return nil
}

// Fenced reports whether the fence stands in both directions. An absent cgroup is os.ErrNotExist.
func Fenced(h cgroup.Hierarchies, path string) (bool, error) {
	stands := true
	err := eachDirection(h, path, func(dir *os.File, d ebpf.AttachType, f fence) error {
		ok, err := attached(dir, d, f)
		stands = stands && ok
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at fence of cgroup %q: %w", path, err)
	}
	return stands, nil
}

func eachDirection(h cgroup.Hierarchies, path string, do func(*os.File, ebpf.AttachType, fence) error) error {
	loaded, err := fences()
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, d := range directions {
		if err := do(dir, d, loaded[d]); err != nil {
			return err
		}
	}
	return nil
}

// attached reports whether our program, of whichever process, is the one on the cgroup.
func attached(dir *os.File, d ebpf.AttachType, f fence) (bool, error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: d})
	if err != nil {
		return false, err
	}
	for _, x := range got.Programs {
		p, err := ebpf.NewProgramFromID(x.ID)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return false, err
		}
		info, err := p.Info()
		p.Close()
		if err != nil {
			return false, err
		}
		if info.Tag == f.tag {
			return true, nil
		}
	}
	return false, nil
}
