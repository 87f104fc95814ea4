package egress

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// A Survey looks at the cgroups of all groups at once. The kernel walks them with a program of ours
// (an iterator over cgroups, Linux 6.1), so the number of system calls does not depend on the
// number of groups: it is three. The walk holds cgroup_mutex, as each single question does. A
// Survey attaches nothing to a cgroup and changes none. Calls must not overlap, also not those of
// two surveys of one process.
type Survey struct {
	hierarchies cgroup.Hierarchies
	root        string
	link        *os.File          // the walk of root; nil before the first
	ids         map[string]uint64 // of the cgroups that were asked for last, by path
	buffer      []byte
}

// NewSurvey returns a survey of the cgroups directly below the root, each with what is in it. The
// root may be absent, and made and removed later.
func NewSurvey(h cgroup.Hierarchies, root string) *Survey {
	// A walk is over with the first read if the kernel's own buffer (PAGE_SIZE << 3, bpf_seq_read)
	// has room for it.
	return &Survey{hierarchies: h, root: root, buffer: make([]byte, 8*os.Getpagesize())}
}

// The program writes a surveyRecord for each cgroup directly below the root.
type surveyRecord struct {
	id    uint64 // of the cgroup
	print uint64
}

// surveyState is the value that the program keeps between two cgroups of a walk. It begins with the
// record that it is about to write.
type surveyState struct {
	surveyRecord
	session uint64 // the number of the walk
	root    uint64 // the level of the cgroup at which the walk began
}

// surveyName is the name of the program and of its map.
const surveyName = "sallyport_look"

// surveyed is how many programs of a hook are looked at.
const surveyed = 16

// A surveyLayout has offsets of the running kernel, from its BTF.
type surveyLayout struct {
	level     int16   // cgroup.level
	self      int16   // cgroup.self.cgroup, which is the cgroup again
	node      int16   // cgroup.kn
	number    int16   // kernfs_node.id
	effective []int16 // cgroup.bpf.effective, for each hook that matters
	items     int16   // bpf_prog_array.items[0].prog
	item      int16   // size of one of them
	aux       int16   // bpf_prog.aux
	program   int16   // bpf_prog_aux.id
	seq       int16   // bpf_iter_meta.seq
	session   int16   // bpf_iter_meta.session_id
}

func readSurveyLayout() (k surveyLayout, err error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return k, fmt.Errorf("read the kernel's types: %w", err)
	}
	var effective int16
	for to, field := range map[*int16]string{
		&k.level: "cgroup.level", &k.self: "cgroup.self.cgroup", &k.node: "cgroup.kn", &k.number: "kernfs_node.id", &effective: "cgroup.bpf.effective",
		&k.items: "bpf_prog_array.items.prog", &k.aux: "bpf_prog.aux", &k.program: "bpf_prog_aux.id",
		&k.seq: "bpf_iter_meta.seq", &k.session: "bpf_iter_meta.session_id",
	} {
		if *to, err = offsetOf(spec, field); err != nil {
			return k, err
		}
	}
	var item *btf.Struct
	if err := spec.TypeByName("bpf_prog_array_item", &item); err != nil {
		return k, fmt.Errorf("look for struct bpf_prog_array_item in the kernel: %w", err)
	}
	k.item = int16(item.Size)
	var hooks *btf.Enum
	if err := spec.TypeByName("cgroup_bpf_attach_type", &hooks); err != nil {
		return k, fmt.Errorf("look for the hooks of cgroups in the kernel: %w", err)
	}
	number := map[string]int16{}
	for _, v := range hooks.Values {
		number[v.Name] = int16(v.Value)
	}
	for _, name := range []string{"CGROUP_INET_INGRESS", "CGROUP_INET_EGRESS", "CGROUP_INET4_BIND", "CGROUP_INET6_BIND", "CGROUP_INET_SOCK_CREATE"} {
		n, ok := number[name]
		if !ok {
			return k, fmt.Errorf("the kernel has no hook %s", name)
		}
		k.effective = append(k.effective, effective+8*n)
	}
	first, ok := number["CGROUP_LSM_START"]
	for n := first; ok && n <= number["CGROUP_LSM_END"]; n++ {
		k.effective = append(k.effective, effective+8*n)
	}
	return k, nil
}

// surveyInstructions may be used under MIT or GPL-2.0 too: bpf_seq_write needs a license that is
// compatible with the GPL.
//
// The program runs for each cgroup, parents first, and once with none when the walk is over. For
// each cgroup directly below the root it writes a record when it has seen everything in it. The
// print goes over:
//
//	level below the root    what
//	2: a side of a group    its number, and the programs in effect at each hook, in their order
//	3: a container          its number
//
// A program is known by its id, which the kernel does not use again before 2^31 more programs. If a
// hook has more programs than are looked at, no record is written.
//
// The walk ends early if the records don't fit into the kernel's buffer (cgroup_iter_seq_start
// returns EOPNOTSUPP then), so the program keeps the number of its walk.
func surveyInstructions(k surveyLayout, state *ebpf.Map) asm.Instructions {
	const (
		offsetID      = int16(unsafe.Offsetof(surveyState{}.id))
		offsetPrint   = int16(unsafe.Offsetof(surveyState{}.print))
		offsetSession = int16(unsafe.Offsetof(surveyState{}.session))
		offsetRoot    = int16(unsafe.Offsetof(surveyState{}.root))
		// The context is struct bpf_iter__cgroup, which is part of the interface.
		offsetMeta, offsetCgroup = 0, 8
	)
	const ctx, at, cg, print, factor, none = asm.R6, asm.R7, asm.R8, asm.R9, asm.R5, asm.R4
	// number has the cgroup's number in R1.
	number := asm.Instructions{asm.LoadMem(asm.R1, cg, k.node, asm.DWord), asm.LoadMem(asm.R1, asm.R1, k.number, asm.DWord)}
	// mix takes R1 into the print. The factor is odd, so prints that differ in one value differ.
	mix := asm.Instructions{asm.Xor.Reg(print, asm.R1), asm.Mul.Reg(print, factor)}
	begin := asm.Instructions{asm.LoadMem(print, at, offsetPrint, asm.DWord), asm.LoadImm(factor, -0x61c8864680b583eb, asm.DWord)}
	end := asm.Instructions{asm.StoreMem(at, offsetPrint, print, asm.DWord), asm.Ja.Label("out")}

	ins := asm.Instructions{
		asm.Mov.Reg(ctx, asm.R1),
		asm.StoreImm(asm.R10, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, state.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "out"),
		asm.Mov.Reg(at, asm.R0),
		asm.LoadMem(cg, ctx, offsetCgroup, asm.DWord),
		asm.Mov.Imm(none, 0),
		// For each pointer that is read from a trusted one, the verifier looks for three names
		// among all of the kernel's types, which took 10 ms. One from here on is not trusted.
		asm.JEq.Imm(cg, 0, "no cgroup"),
		asm.LoadMem(cg, cg, k.self, asm.DWord),

		// A new walk begins with the root.
		asm.LoadMem(asm.R1, ctx, offsetMeta, asm.DWord).WithSymbol("no cgroup"),
		asm.LoadMem(asm.R1, asm.R1, k.session, asm.DWord),
		asm.LoadMem(asm.R2, at, offsetSession, asm.DWord),
		asm.JEq.Reg(asm.R1, asm.R2, "same walk"),
		asm.StoreMem(at, offsetSession, asm.R1, asm.DWord),
		asm.StoreMem(at, offsetID, none, asm.DWord),
		asm.JEq.Imm(cg, 0, "out"),
		asm.LoadMem(asm.R1, cg, k.level, asm.Word),
		asm.StoreMem(at, offsetRoot, asm.R1, asm.DWord),
		asm.Ja.Label("out"),

		asm.JEq.Imm(cg, 0, "write").WithSymbol("same walk"),
		asm.LoadMem(asm.R1, cg, k.level, asm.Word),
		asm.LoadMem(asm.R2, at, offsetRoot, asm.DWord),
		asm.Sub.Reg(asm.R1, asm.R2),
		asm.JEq.Imm(asm.R1, 2, "side"),
		asm.JEq.Imm(asm.R1, 3, "container"),
		asm.JNE.Imm(asm.R1, 1, "out"),

		asm.LoadMem(asm.R1, at, offsetID, asm.DWord).WithSymbol("write"),
		asm.JEq.Imm(asm.R1, 0, "next"),
		asm.LoadMem(asm.R1, ctx, offsetMeta, asm.DWord),
		asm.LoadMem(asm.R1, asm.R1, k.seq, asm.DWord),
		asm.Mov.Reg(asm.R2, at),
		asm.Mov.Imm(asm.R3, int32(unsafe.Sizeof(surveyRecord{}))),
		asm.FnSeqWrite.Call(),

		asm.Mov.Imm(none, 0).WithSymbol("next"),
		asm.StoreMem(at, offsetID, none, asm.DWord),
		asm.JEq.Imm(cg, 0, "out"),
	}
	ins = append(ins, number...)
	ins = append(ins,
		asm.StoreMem(at, offsetID, asm.R1, asm.DWord),
		asm.StoreMem(at, offsetPrint, none, asm.DWord),
		asm.Ja.Label("out"),
	)

	ins = append(ins, begin[0].WithSymbol("container"), begin[1])
	ins = append(append(append(ins, number...), mix...), end...)

	ins = append(ins, begin[0].WithSymbol("side"), begin[1])
	ins = append(append(ins, number...), mix...)
	for i, offset := range k.effective {
		done := fmt.Sprint("hook ", i, " done")
		ins = append(ins, asm.LoadMem(asm.R2, cg, offset, asm.DWord), asm.JEq.Imm(asm.R2, 0, done))
		for n := range int16(surveyed) {
			ins = append(ins,
				asm.LoadMem(asm.R3, asm.R2, k.items+n*k.item, asm.DWord),
				asm.JEq.Imm(asm.R3, 0, done),
				asm.LoadMem(asm.R3, asm.R3, k.aux, asm.DWord),
				asm.LoadMem(asm.R1, asm.R3, k.program, asm.Word),
			)
			ins = append(ins, mix...)
		}
		// No id is 0, so that each hook has its place in the print.
		ins = append(ins,
			asm.LoadMem(asm.R3, asm.R2, k.items+surveyed*k.item, asm.DWord),
			asm.JNE.Imm(asm.R3, 0, "too many"),
			asm.Mul.Reg(print, factor).WithSymbol(done),
		)
	}
	ins = append(ins, end...)
	return append(ins,
		asm.StoreMem(at, offsetID, none, asm.DWord).WithSymbol("too many"),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("out"),
		asm.Return(),
	)
}

// surveyProgram is loaded once: reading the kernel's types takes some 50 ms.
var surveyProgram = sync.OnceValues(func() (*ebpf.Program, error) { return loadSurvey(0) })

// loadSurvey loads the program. The program has what the verifier logs.
func loadSurvey(verifierLog ebpf.LogLevel) (*ebpf.Program, error) {
	k, err := readSurveyLayout()
	if err != nil {
		return nil, err
	}
	state, err := ebpf.NewMap(&ebpf.MapSpec{Name: surveyName, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(unsafe.Sizeof(surveyState{})), MaxEntries: 1})
	if err != nil {
		return nil, fmt.Errorf("make map %s: %w", surveyName, err)
	}
	defer state.Close() // the program keeps it
	p, err := ebpf.NewProgramWithOptions(&ebpf.ProgramSpec{
		Name: surveyName, Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "cgroup",
		License: separationLicense, Instructions: surveyInstructions(k, state),
	}, ebpf.ProgramOptions{LogLevel: verifierLog})
	if err != nil {
		return nil, fmt.Errorf("load program %s: %w", surveyName, err)
	}
	return p, nil
}

// Prints returns a print of each of the cgroups. It differs when a cgroup one or two levels below
// has come or gone, and when a program has been attached to or detached from a cgroup one level
// below, or replaced. The cgroups have to be directly below the root. One that the walk did not see
// has no print: it has come since, or it is absent, or there are too many (2,048 with pages of 4
// KiB). If the kernel can't do it, Prints returns an error each time.
func (s *Survey) Prints(paths []string) (map[string]uint64, error) {
	seen, err := s.walk()
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("survey cgroups below %q: %w", s.root, err)
	}
	prints, ids := make(map[string]uint64, len(paths)), make(map[string]uint64, len(paths))
	missed := false
	for _, path := range paths {
		id := s.ids[path]
		print, ok := seen[id]
		if !ok {
			c, err := s.hierarchies.Find(path)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			id = c.ID
			print, ok = seen[id]
		}
		ids[path] = id
		if ok {
			prints[path] = print
		}
		missed = missed || !ok
	}
	s.ids = ids
	if missed {
		s.Close() // the root may have been made anew
	}
	return prints, nil
}

// Close gives up what the survey holds of the kernel. The next call begins anew.
func (s *Survey) Close() {
	if s.link != nil {
		s.link.Close()
		s.link = nil
	}
}

// walk returns the print of each cgroup directly below the root, by number.
func (s *Survey) walk() (map[uint64]uint64, error) {
	if s.link == nil {
		program, err := surveyProgram()
		if err != nil {
			return nil, err
		}
		if err := s.open(program); errors.Is(err, os.ErrNotExist) {
			return nil, nil // there is no root
		} else if err != nil {
			return nil, err
		}
	}
	attr := struct{ link, flags uint32 }{link: uint32(s.link.Fd())}
	fd, err := bpf(unix.BPF_ITER_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, s.buffer)
	if err != nil {
		return nil, err
	}
	const size = int(unsafe.Sizeof(surveyRecord{}))
	seen := make(map[uint64]uint64, n/size)
	for b := s.buffer[:n]; len(b) >= size; b = b[size:] {
		seen[binary.NativeEndian.Uint64(b)] = binary.NativeEndian.Uint64(b[8:])
	}
	return seen, nil
}

// open prepares the walk of the root that is there now, by a program.
func (s *Survey) open(program *ebpf.Program) error {
	root, err := s.hierarchies.Find(s.root)
	if err != nil {
		return err
	}
	// The library's AttachIter passes no cgroup (v0.22).
	// union bpf_iter_link_info, and the part of union bpf_attr for BPF_LINK_CREATE.
	info := []struct {
		order, fd uint32
		id        uint64
	}{{order: unix.BPF_CGROUP_ITER_DESCENDANTS_PRE, id: root.ID}}
	var pin runtime.Pinner
	defer pin.Unpin()
	attr := struct {
		program, target, hook, flags uint32
		info                         uint64
		infoSize, _                  uint32
	}{program: uint32(program.FD()), hook: uint32(ebpf.AttachTraceIter), info: address(&pin, info), infoSize: uint32(unsafe.Sizeof(info[0]))}
	fd, err := bpf(unix.BPF_LINK_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return err
	}
	s.link = os.NewFile(uintptr(fd), surveyName)
	return nil
}
