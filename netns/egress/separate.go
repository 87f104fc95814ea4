package egress

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/kernfile"
)

// Abstract unix sockets belong to a network namespace, and so they join members and ambassador. A
// socket can be handed over them, and what the ambassador has made leaves as the ambassador's. Two
// programs on the cgroup of each side separate the sides, where the kernel has BPF LSM. They refuse
// connect(2) and sendto(2), with EPERM, if the receiving socket has an abstract name and was made
// outside that cgroup. A name that the kernel has chosen (autobind) is abstract too. The programs
// don't refuse sockets with the name of a file: a shared volume is the operator's decision. Nor do
// they refuse sockets without a name, such as those of socketpair(2).
//
// The number of the cgroup is a constant in its programs. So they hold in any cgroup namespace and
// at any depth, and a program that is left on another cgroup refuses instead of allowing. Each
// socket has the cgroup of the process that made it (sk_alloc, for the accepting end as well as
// for others). Kernels differ in whose cgroup they take the programs from: the calling process's
// or its socket's (bpf_lsm_find_cgroup_shim). Both belong to the same side.
//
// A connection that exists already stays. A datagram socket is judged each time it sends.

// separationName is the name of the programs.
const separationName = "sallyport_apart"

// separationLicense is compatible with the GPL, as LSM programs have to be (bpf_lsm_verify_prog).
// The instructions in this file may be used under MIT or GPL-2.0 too.
const separationLicense = "Dual MIT/GPL"

// separationDepth is how many cgroups up from a socket's own the programs look. A container's
// cgroup is one or two below its side's.
const separationDepth = 16

// separation returns the program for one hook of the cgroup with this number.
func separation(k kernelLayout, receiver asm.Instructions, id uint64) asm.Instructions {
	ins := append(asm.Instructions{}, receiver...) // R6 is the receiving struct sock
	return append(ins,
		asm.Mov.Reg(asm.R1, asm.R6),
		asm.FnSkcToUnixSock.Call(),
		asm.JEq.Imm(asm.R0, 0, "refuse"),
		asm.LoadMem(asm.R7, asm.R0, k.address, asm.DWord),
		asm.JEq.Imm(asm.R7, 0, "pass"), // it has no name
		asm.LoadMem(asm.R8, asm.R7, k.name, asm.Byte),
		asm.JNE.Imm(asm.R8, 0, "pass"), // the name of a file

		asm.LoadMem(asm.R7, asm.R6, k.cgroup, asm.DWord),
		asm.LoadImm(asm.R8, int64(id), asm.DWord),
		asm.Mov.Imm(asm.R9, 0),
		asm.JEq.Imm(asm.R7, 0, "refuse").WithSymbol("up"),
		asm.LoadMem(asm.R1, asm.R7, k.node, asm.DWord),
		asm.JEq.Imm(asm.R1, 0, "refuse"),
		asm.LoadMem(asm.R1, asm.R1, k.number, asm.DWord),
		asm.JEq.Reg(asm.R1, asm.R8, "pass"),
		asm.LoadMem(asm.R7, asm.R7, k.parent, asm.DWord),
		asm.JEq.Imm(asm.R7, 0, "refuse"), // it was the root
		asm.LoadMem(asm.R7, asm.R7, k.parentCgroup, asm.DWord),
		asm.Add.Imm(asm.R9, 1),
		asm.JLT.Imm(asm.R9, separationDepth, "up"),

		asm.Mov.Imm(asm.R0, 0).WithSymbol("refuse"),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("pass"),
		asm.Return(),
	)
}

// separations returns the programs for a cgroup, one for each hook.
func separations(c cgroup.Cgroup) ([]blueprint, error) {
	k, err := kernel()
	if err != nil {
		return nil, err
	}
	// The arguments are (sock, other, newsk) and (sock, other). The first are struct sock, the
	// second struct socket.
	second := asm.LoadMem(asm.R6, asm.R1, 8, asm.DWord)
	var out []blueprint
	for _, x := range []struct {
		hook     uint32
		receiver asm.Instructions
	}{
		{k.streamConnect, asm.Instructions{second}},
		{k.maySend, asm.Instructions{second, asm.LoadMem(asm.R6, asm.R6, k.sock, asm.DWord), asm.JEq.Imm(asm.R6, 0, "refuse")}},
	} {
		ins := separation(k, x.receiver, c.ID)
		out = append(out, blueprint{ebpf.AttachLSMCgroup, ins, func() (program, error) {
			return loadLSM(separationName, separationLicense, x.hook, ins)
		}})
	}
	return out, nil
}

// Separate keeps the processes in the cgroup and below it from abstract unix sockets that were made
// elsewhere. No cgroup below may attach a program of its own. A second call changes nothing. It
// fails on a kernel without BPF LSM. Whether it has an effect is for [SelfTest] to find out.
func Separate(h cgroup.Hierarchies, path string) error {
	if err := separate(h, path); err != nil {
		return fmt.Errorf("separate abstract sockets of cgroup %q: %w", path, err)
	}
	return nil
}

func separate(h cgroup.Hierarchies, path string) error {
	return eachSeparation(h, path, attach)
}

// Separated reports whether the cgroup is as [Separate] leaves it. An absent cgroup is
// os.ErrNotExist.
func Separated(h cgroup.Hierarchies, path string) (bool, error) {
	all := true
	err := eachSeparation(h, path, func(dir *os.File, b blueprint) error {
		ok, err := attached(dir, b)
		all = all && ok
		return err
	})
	if err != nil {
		return false, fmt.Errorf("look at abstract sockets of cgroup %q: %w", path, err)
	}
	return all, nil
}

// Join undoes [Separate]. A cgroup that is not separated, or absent, is no error.
func Join(h cgroup.Hierarchies, path string) error {
	err := eachLSM(h, path, func(dir *os.File, p *ebpf.Program) error {
		return link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: ebpf.AttachLSMCgroup})
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("join abstract sockets of cgroup %q: %w", path, err)
	}
	return nil
}

// Joined reports whether the cgroup has no program of [Separate]. An absent cgroup is
// os.ErrNotExist.
func Joined(h cgroup.Hierarchies, path string) (bool, error) {
	found := false
	err := eachLSM(h, path, func(*os.File, *ebpf.Program) error {
		found = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look for separated sockets of cgroup %q: %w", path, err)
	}
	return !found, nil
}

// SeparationPrint identifies the LSM programs of the cgroup. It differs after each of them that was
// attached, replaced or detached. An absent cgroup is os.ErrNotExist.
func SeparationPrint(h cgroup.Hierarchies, path string) (string, error) {
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return "", err
	}
	defer dir.Close()
	ids, err := query(dir, ebpf.AttachLSMCgroup)
	if err != nil {
		return "", fmt.Errorf("look at abstract sockets of cgroup %q: %w", path, err)
	}
	return fmt.Sprint(ids), nil
}

// eachSeparation calls do for each program that the cgroup is to have.
func eachSeparation(h cgroup.Hierarchies, path string, do func(*os.File, blueprint) error) error {
	c, err := h.Find(path)
	if err != nil {
		return err
	}
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	wanted, err := separations(c)
	if err != nil {
		return err
	}
	for _, b := range wanted {
		if err := do(dir, b); err != nil {
			return err
		}
	}
	return nil
}

// eachLSM calls do for each attached program with our name.
func eachLSM(h cgroup.Hierarchies, path string, do func(*os.File, *ebpf.Program) error) error {
	dir, err := kernfile.Open(filepath.Join(h.V2, path))
	if err != nil {
		return err
	}
	defer dir.Close()
	ids, err := query(dir, ebpf.AttachLSMCgroup)
	if err != nil {
		return err
	}
	return lookAt(ids, func(p *ebpf.Program, info *ebpf.ProgramInfo) error {
		if info.Name != separationName {
			return nil
		}
		return do(dir, p)
	})
}
