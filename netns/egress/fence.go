package egress

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
)

// The fence is a set of programs on the members' cgroup, in two parts.
//
// The first part is five instructions for each direction. A packet that a member's socket sends, or
// is about to receive, passes on loopback only. The program runs when the kernel has found the
// packet's socket. The rules have to look for the socket earlier, and a member can make the results
// differ: it shares the ambassador's port by SO_REUSEPORT, with a program of its own that picks the
// socket. In a test it received 45 of 100 datagrams that the rules had taken for the ambassador's.
// The fence closes this gap, and it remains when the rules are flushed. The rules refuse at once
// and count. The fence does neither.
//
// The first part does not see packets without a socket: resets, last ACKs, and the SYN-ACK of a
// member's listener if the kernel answers with a cookie, as it does for a listener without a
// backlog. Only the rules stop those.
//
// The second part refuses bind(2) to a port of the ambassador, with EPERM: for every protocol that
// has ports, both families and every address. Otherwise a member could share the port by
// SO_REUSEPORT and silence the ambassador, or take the port while the ambassador restarts. The
// ports are constants in the program. So a program is replaced by one with other ports in one step,
// and the tag of the attached program shows its ports. The kernel runs the program in bind(2)
// only, for the cgroup in which the socket was made. Port 0 passes: [netns.ReservePorts] keeps the
// kernel from choosing one of these ports itself. A socket that is bound already keeps its port.

// loopback is the index of lo in every network namespace.
const loopback = 1

// Offsets in the programs' contexts.
const (
	offsetIfindex  = 40 // struct __sk_buff: index of the incoming or outgoing interface
	offsetUserPort = 24 // struct bpf_sock_addr: port in network byte order
)

// Names of the programs. Both parts are recognised by them when the fence is removed.
const (
	filterName = "sallyport_fence"
	bindName   = "sallyport_binds"
)

func filterSpec(direction ebpf.AttachType) *ebpf.ProgramSpec {
	return &ebpf.ProgramSpec{
		Name:       filterName,
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

// bindSpec compares the port with each range. All jumps are short and no path continues with a port
// that is already decided, so the verifier's work is linear in the number of ranges.
func bindSpec(family ebpf.AttachType, closed netns.Ports) *ebpf.ProgramSpec {
	ins := asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, offsetUserPort, asm.Word),
		asm.HostTo(asm.BE, asm.R2, asm.Half),
	}
	label := func(kind string, i int) string { return fmt.Sprint(kind, i) }
	for i, r := range closed {
		ins = append(ins,
			asm.JGE.Imm(asm.R2, int32(r.First), label("from", i)).WithSymbol(label("range", i)),
			asm.Mov.Imm(asm.R0, 1),
			asm.Return(),
			asm.JGT.Imm(asm.R2, int32(r.Last), label("range", i+1)).WithSymbol(label("from", i)),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		)
	}
	return &ebpf.ProgramSpec{
		Name:       bindName,
		Type:       ebpf.CGroupSockAddr,
		AttachType: family,
		License:    "Apache-2.0",
		Instructions: append(ins,
			asm.Mov.Imm(asm.R0, 1).WithSymbol(label("range", len(closed))),
			asm.Return(),
		),
	}
}

var (
	directions = []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress}
	families   = []ebpf.AttachType{ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind}
	hooks      = slices.Concat(directions, families)
)

// filters are the loaded programs of the first part, with their tags.
var filters = sync.OnceValues(func() ([]program, error) {
	var out []program
	for _, d := range directions {
		p, err := load(filterSpec(d))
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
})

type program struct {
	*ebpf.Program
	hook ebpf.AttachType
	tag  string // of the instructions: the same program loaded by another process has the same tag
}

func load(s *ebpf.ProgramSpec) (program, error) {
	p, err := ebpf.NewProgram(s)
	if err != nil {
		return program{}, fmt.Errorf("load program %s: %w", s.Name, err)
	}
	return described(p, s.Name, s.AttachType)
}

// described returns the program with its tag. If it can't be looked at, it is closed.
func described(p *ebpf.Program, name string, hook ebpf.AttachType) (program, error) {
	info, err := p.Info()
	if err != nil {
		p.Close()
		return program{}, fmt.Errorf("look at program %s: %w", name, err)
	}
	return program{p, hook, info.Tag}, nil
}

// Fence keeps every process in the cgroup and below it to loopback, and refuses it the closed
// ports. No cgroup below may attach a program of its own. A second call changes nothing. Other
// ports take the place of the earlier ones at once.
func Fence(h cgroup.Hierarchies, path string, closed netns.Ports) error {
	err := eachProgram(h, path, closed, func(dir *os.File, p program) error {
		if ok, err := attached(dir, p); err != nil || ok {
			return err
		}
		// Without flags a program replaces the previous one.
		return link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: p.Program, Attach: p.hook})
	})
	if err != nil {
		return fmt.Errorf("fence cgroup %q: %w", path, err)
	}
	return nil
}

// Unfence removes the fence, whichever ports it has. A cgroup without one is no error.
func Unfence(h cgroup.Hierarchies, path string) error {
	err := eachOfOurs(h, path, func(dir *os.File, hook ebpf.AttachType, p *ebpf.Program) error {
		return link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: hook})
	})
	if err != nil {
		return fmt.Errorf("unfence cgroup %q: %w", path, err)
	}
	return nil
}

// Fenced reports whether the whole fence is attached, with exactly these ports. An absent cgroup is
// os.ErrNotExist.
func Fenced(h cgroup.Hierarchies, path string, closed netns.Ports) (bool, error) {
	stands := true
	err := eachProgram(h, path, closed, func(dir *os.File, p program) error {
		ok, err := attached(dir, p)
		stands = stands && ok
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at fence of cgroup %q: %w", path, err)
	}
	return stands, nil
}

// Unfenced reports whether no part of a fence is attached. An absent cgroup is os.ErrNotExist.
func Unfenced(h cgroup.Hierarchies, path string) (bool, error) {
	found := false
	err := eachOfOurs(h, path, func(*os.File, ebpf.AttachType, *ebpf.Program) error {
		found = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for a fence of cgroup %q: %w", path, err)
	}
	return !found, nil
}

// FencePrint identifies the programs at the cgroup's hooks. It differs after each of them that was
// attached, replaced or detached. An absent cgroup is os.ErrNotExist.
func FencePrint(h cgroup.Hierarchies, path string) (string, error) {
	var all []ebpf.ProgramID
	err := eachHook(h, path, func(_ *os.File, _ ebpf.AttachType, found []link.AttachedProgram) error {
		all = append(append(all, programIDs(found)...), 0)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at fence of cgroup %q: %w", path, err)
	}
	return fmt.Sprint(all), nil
}

// eachProgram calls do for each program that a fence with these ports has.
func eachProgram(h cgroup.Hierarchies, path string, closed netns.Ports, do func(*os.File, program) error) error {
	all, err := filters()
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	all = slices.Clone(all)
	for _, f := range families {
		p, err := load(bindSpec(f, closed))
		if err != nil {
			return err
		}
		defer p.Close()
		all = append(all, p)
	}
	for _, p := range all {
		if err := do(dir, p); err != nil {
			return err
		}
	}
	return nil
}

func eachHook(h cgroup.Hierarchies, path string, do func(*os.File, ebpf.AttachType, []link.AttachedProgram) error) error {
	dir, err := os.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, hook := range hooks {
		got, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: hook})
		if err != nil {
			return err
		}
		if err := do(dir, hook, got.Programs); err != nil {
			return err
		}
	}
	return nil
}

// eachOfOurs calls do for each attached program with one of our names.
func eachOfOurs(h cgroup.Hierarchies, path string, do func(*os.File, ebpf.AttachType, *ebpf.Program) error) error {
	return eachHook(h, path, func(dir *os.File, hook ebpf.AttachType, found []link.AttachedProgram) error {
		return lookAt(programIDs(found), func(p *ebpf.Program, info *ebpf.ProgramInfo) error {
			if info.Name != filterName && info.Name != bindName {
				return nil
			}
			return do(dir, hook, p)
		})
	})
}

// attached reports whether the program is attached to the cgroup. Any process may have loaded it.
func attached(dir *os.File, want program) (ok bool, err error) {
	got, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: want.hook})
	if err != nil {
		return false, err
	}
	err = lookAt(programIDs(got.Programs), func(_ *ebpf.Program, info *ebpf.ProgramInfo) error {
		ok = ok || info.Tag == want.tag
		return nil
	})
	return ok, err
}

func programIDs(programs []link.AttachedProgram) (ids []ebpf.ProgramID) {
	for _, x := range programs {
		ids = append(ids, x.ID)
	}
	return ids
}

// lookAt calls do for each program that is still there.
func lookAt(ids []ebpf.ProgramID, do func(*ebpf.Program, *ebpf.ProgramInfo) error) error {
	for _, id := range ids {
		p, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := p.Info()
		if err == nil {
			err = do(p, info)
		}
		p.Close()
		if err != nil {
			return err
		}
	}
	return nil
}
