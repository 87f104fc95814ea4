package egress

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/kernfile"
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
//
// Where the ambassador may ping, there is a third part: see [RefusePingSockets].

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
	hooks      = append(slices.Concat(directions, families), createHook)
)

// A blueprint is a program that need not be loaded to be recognised.
type blueprint struct {
	hook ebpf.AttachType
	ins  asm.Instructions
	load func() (program, error)
}

type program struct {
	*ebpf.Program
	tag    string // of the instructions: the same program loaded by another process has the same tag
	shared bool   // it stays loaded
}

func (p program) release() {
	if !p.shared {
		p.Close()
	}
}

// filters are the loaded programs of the first part.
var filters = sync.OnceValues(func() (map[ebpf.AttachType]program, error) {
	out := map[ebpf.AttachType]program{}
	for _, d := range directions {
		p, err := load(filterSpec(d))
		if err != nil {
			return nil, err
		}
		p.shared = true
		out[d] = p
	}
	return out, nil
})

func load(s *ebpf.ProgramSpec) (program, error) {
	p, err := ebpf.NewProgram(s)
	if err != nil {
		return program{}, fmt.Errorf("load program %s: %w", s.Name, err)
	}
	return described(p, s.Name)
}

// described returns the program with its tag. If it can't be looked at, it is closed.
func described(p *ebpf.Program, name string) (program, error) {
	info, err := p.Info()
	if err != nil {
		p.Close()
		return program{}, fmt.Errorf("look at program %s: %w", name, err)
	}
	return program{Program: p, tag: info.Tag}, nil
}

// blueprints returns all programs of a fence with these ports.
func blueprints(closed netns.Ports) (all []blueprint) {
	for _, d := range directions {
		all = append(all, blueprint{d, filterSpec(d).Instructions, func() (program, error) {
			loaded, err := filters()
			return loaded[d], err
		}})
	}
	for _, f := range families {
		s := bindSpec(f, closed)
		all = append(all, blueprint{f, s.Instructions, func() (program, error) { return load(s) }})
	}
	return all
}

// Fence keeps every process in the cgroup and below it to loopback, and refuses it the closed
// ports. No cgroup below may attach a program of its own. A second call changes nothing. Other
// ports take the place of the earlier ones at once.
func Fence(h cgroup.Hierarchies, path string, closed netns.Ports) error {
	err := eachBlueprint(h, path, closed, attach)
	if err != nil {
		return fmt.Errorf("fence cgroup %q: %w", path, err)
	}
	return nil
}

// Unfence removes the fence, whichever ports it has, and what [RefusePingSockets] attached. A
// cgroup without them is no error.
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
	err := eachBlueprint(h, path, closed, func(dir *os.File, b blueprint) error {
		ok, err := attached(dir, b)
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
	err := eachHook(h, path, func(_ *os.File, _ ebpf.AttachType, found []ebpf.ProgramID) error {
		all = append(append(all, found...), 0)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look at fence of cgroup %q: %w", path, err)
	}
	return fmt.Sprint(all), nil
}

// eachBlueprint calls do for each program that a fence with these ports has.
func eachBlueprint(h cgroup.Hierarchies, path string, closed netns.Ports, do func(*os.File, blueprint) error) error {
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, b := range blueprints(closed) {
		if err := do(dir, b); err != nil {
			return err
		}
	}
	return nil
}

func eachHook(h cgroup.Hierarchies, path string, do func(*os.File, ebpf.AttachType, []ebpf.ProgramID) error) error {
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, hook := range hooks {
		ids, err := query(dir, hook)
		if err != nil {
			return err
		}
		if err := do(dir, hook, ids); err != nil {
			return err
		}
	}
	return nil
}

// eachOfOurs calls do for each attached program with one of our names.
func eachOfOurs(h cgroup.Hierarchies, path string, do func(*os.File, ebpf.AttachType, *ebpf.Program) error) error {
	return eachHook(h, path, func(dir *os.File, hook ebpf.AttachType, found []ebpf.ProgramID) error {
		return lookAt(found, func(p *ebpf.Program, info *ebpf.ProgramInfo) error {
			if info.Name != filterName && info.Name != bindName && info.Name != pingName {
				return nil
			}
			return do(dir, hook, p)
		})
	})
}

// attach attaches the program to the cgroup, unless it is. Without flags a program replaces the
// previous one.
func attach(dir *os.File, want blueprint) error {
	found, err := tags(dir, want.hook)
	if err != nil {
		return err
	}
	if ok, err := want.among(found); err != nil || ok {
		return err
	}
	p, err := want.load()
	if err != nil {
		return err
	}
	defer p.release()
	if slices.Contains(found, p.tag) {
		return nil
	}
	return link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: p.Program, Attach: want.hook})
}

// attached reports whether the program is attached to the cgroup. Any process may have loaded it.
func attached(dir *os.File, want blueprint) (bool, error) {
	found, err := tags(dir, want.hook)
	if err != nil || len(found) == 0 {
		return false, err
	}
	if ok, err := want.among(found); err != nil || ok {
		return ok, err
	}
	p, err := want.load()
	if err != nil {
		return false, err
	}
	defer p.release()
	return slices.Contains(found, p.tag), nil
}

// among reports whether one of the tags is the program's. Kernels differ in how they make a tag, so
// the answer no is certain only once the program was loaded.
func (b blueprint) among(tags []string) (bool, error) {
	// This replaces the names of jumps' targets by their distances.
	if err := b.ins.Marshal(io.Discard, byteOrder()); err != nil {
		return false, err
	}
	for _, tag := range tags {
		if ok, err := b.ins.HasTag(tag, byteOrder()); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// seen has the tags of programs that were attached somewhere, by id. The kernel gives an id again
// only after 2^31 others (bpf_prog_alloc_id).
var seen = struct {
	sync.Mutex
	tags map[ebpf.ProgramID]string
}{tags: map[ebpf.ProgramID]string{}}

// maxSeen bounds what is remembered: a group has six programs of its own.
const maxSeen = 1 << 15

// tags returns the tags of the programs at a hook.
func tags(dir *os.File, hook ebpf.AttachType) (all []string, err error) {
	ids, err := query(dir, hook)
	if err != nil {
		return nil, err
	}
	seen.Lock()
	defer seen.Unlock()
	for _, id := range ids {
		tag, ok := seen.tags[id]
		if !ok {
			err := lookAt([]ebpf.ProgramID{id}, func(_ *ebpf.Program, info *ebpf.ProgramInfo) error {
				tag = info.Tag
				return nil
			})
			if err != nil {
				return nil, err
			}
			if len(seen.tags) >= maxSeen {
				clear(seen.tags)
			}
			if tag != "" { // else it is gone since
				seen.tags[id] = tag
			}
		}
		all = append(all, tag)
	}
	return all, nil
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
