package egress

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// The library neither loads LSM programs for cgroups nor lists them. In v0.22
// findProgramTargetInKernel knows no AttachLSMCgroup, and QueryPrograms asks for no attach flags.
// Two system calls here do.

// A kernelLayout has ids and offsets of the running kernel, from its BTF.
type kernelLayout struct {
	streamConnect, maySend uint32 // BTF ids of the hooks
	sock                   int16  // socket.sk
	address                int16  // unix_sock.addr
	name                   int16  // unix_address.name[0].sun_path
	cgroup                 int16  // sock.sk_cgrp_data.cgroup
	node                   int16  // cgroup.kn
	number                 int16  // kernfs_node.id
	parent                 int16  // cgroup.self.parent
	parentCgroup           int16  // cgroup_subsys_state.cgroup
}

// kernel reads the layout once: it takes some 50 ms.
var kernel = sync.OnceValues(func() (k kernelLayout, err error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return k, fmt.Errorf("read the kernel's types: %w", err)
	}
	for to, hook := range map[*uint32]string{&k.streamConnect: "bpf_lsm_unix_stream_connect", &k.maySend: "bpf_lsm_unix_may_send"} {
		var f *btf.Func
		err := spec.TypeByName(hook, &f)
		if err != nil {
			return k, fmt.Errorf("look for %s in the kernel: %w", hook, err)
		}
		id, err := spec.TypeID(f)
		if err != nil {
			return k, fmt.Errorf("look for %s in the kernel: %w", hook, err)
		}
		*to = uint32(id)
	}
	for to, field := range map[*int16]string{
		&k.sock: "socket.sk", &k.address: "unix_sock.addr", &k.name: "unix_address.name.sun_path",
		&k.cgroup: "sock.sk_cgrp_data.cgroup", &k.node: "cgroup.kn", &k.number: "kernfs_node.id",
		&k.parent: "cgroup.self.parent", &k.parentCgroup: "cgroup_subsys_state.cgroup",
	} {
		if *to, err = offsetOf(spec, field); err != nil {
			return k, err
		}
	}
	return k, nil
})

// offsetOf returns the offset of a field within a struct of the kernel: "struct.field.field". An
// array stands for its first element.
func offsetOf(spec *btf.Spec, path string) (int16, error) {
	name, fields, _ := strings.Cut(path, ".")
	var in *btf.Struct
	if err := spec.TypeByName(name, &in); err != nil {
		return 0, fmt.Errorf("look for struct %s in the kernel: %w", name, err)
	}
	var offset uint32
	at := btf.Type(in)
	for field := range strings.SplitSeq(fields, ".") {
		m, ok := findMember(at, field)
		if !ok {
			return 0, fmt.Errorf("the kernel has no %s", path)
		}
		offset += m.Offset.Bytes()
		at = m.Type
	}
	if offset > math.MaxInt16 {
		return 0, fmt.Errorf("%s is %d bytes into the struct", path, offset)
	}
	return int16(offset), nil
}

// findMember looks into structs and unions without a name as well.
func findMember(in btf.Type, name string) (btf.Member, bool) {
	in = btf.UnderlyingType(in)
	if array, ok := in.(*btf.Array); ok {
		in = btf.UnderlyingType(array.Type)
	}
	var members []btf.Member
	switch x := in.(type) {
	case *btf.Struct:
		members = x.Members
	case *btf.Union:
		members = x.Members
	}
	for _, m := range members {
		if m.Name == name {
			return m, true
		}
		if m.Name != "" {
			continue
		}
		if inner, ok := findMember(m.Type, name); ok {
			inner.Offset += m.Offset
			return inner, true
		}
	}
	return btf.Member{}, false
}

// loadLSM loads a program that can be attached to cgroups at an LSM hook.
func loadLSM(name, license string, hook uint32, ins asm.Instructions) (program, error) {
	var code bytes.Buffer
	if err := ins.Marshal(&code, byteOrder()); err != nil {
		return program{}, fmt.Errorf("load program %s: %w", name, err)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	// The part of union bpf_attr for BPF_PROG_LOAD, up to the last field that is needed.
	attr := struct {
		kind, instructions       uint32
		code, license            uint64
		logLevel, logSize        uint32
		log                      uint64
		kernel, flags            uint32
		name                     [16]byte
		device, hook             uint32
		types, functionInfoSize  uint32
		functionInfo             uint64
		functionInfos, linesSize uint32
		lines                    uint64
		lineCount, target        uint32
	}{
		kind: uint32(ebpf.LSM), hook: uint32(ebpf.AttachLSMCgroup), target: hook,
		instructions: uint32(code.Len() / asm.InstructionSize),
		code:         address(&pin, code.Bytes()),
		license:      address(&pin, append([]byte(license), 0)),
	}
	copy(attr.name[:len(attr.name)-1], name)
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return program{}, fmt.Errorf("load program %s: %w", name, err)
	}
	p, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		return program{}, fmt.Errorf("load program %s: %w", name, err)
	}
	return described(p, name)
}

// query returns the programs that are attached to the cgroup itself, at this hook or, for
// [ebpf.AttachLSMCgroup], at all LSM hooks.
func query(dir *os.File, hook ebpf.AttachType) ([]ebpf.ProgramID, error) {
	// A cgroup has up to 64 programs at a hook (BPF_CGROUP_MAX_PROGS), and a kernel up to 10 LSM
	// hooks (CGROUP_LSM_NUM). For those the kernel needs room for flags, else it answers EINVAL.
	ids, flags := make([]ebpf.ProgramID, 64), []uint32(nil)
	if hook == ebpf.AttachLSMCgroup {
		ids, flags = make([]ebpf.ProgramID, 640), make([]uint32, 640)
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	// The part of union bpf_attr for BPF_PROG_QUERY.
	attr := struct {
		target, hook, flags, attachFlags uint32
		ids                              uint64
		count, _                         uint32
		eachFlags                        uint64
	}{target: uint32(dir.Fd()), hook: uint32(hook), count: uint32(len(ids)), ids: address(&pin, ids)}
	size := unsafe.Offsetof(attr.eachFlags)
	if flags != nil {
		attr.eachFlags, size = address(&pin, flags), unsafe.Sizeof(attr)
	}
	if _, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), size); err != nil {
		return nil, fmt.Errorf("list programs: %w", err)
	}
	return ids[:attr.count], nil
}

func address[T any](pin *runtime.Pinner, s []T) uint64 {
	p := unsafe.SliceData(s)
	pin.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR, unix.EAGAIN: // the verifier was interrupted by a signal
		default:
			return 0, errno
		}
	}
}

func byteOrder() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// bpfIsActive reports whether the kernel calls BPF programs at its LSM hooks: "bpf" was in lsm=
// when it was booted, or in CONFIG_LSM. Without that, programs attach and nothing runs them. A
// kernel before 6.8 has no lsm_list_modules(2), so securityfs is read.
func bpfIsActive() (bool, error) {
	const lsmIDBPF = 110 // include/uapi/linux/lsm.h
	modules := make([]uint64, 64)
	size := uint32(len(modules) * 8)
	n, _, errno := unix.Syscall(unix.SYS_LSM_LIST_MODULES, uintptr(unsafe.Pointer(&modules[0])), uintptr(unsafe.Pointer(&size)), 0)
	if errno == 0 {
		return slices.Contains(modules[:n], lsmIDBPF), nil
	}
	if !errors.Is(errno, unix.ENOSYS) {
		return false, fmt.Errorf("list the kernel's security modules: %w", errno)
	}
	list, err := os.ReadFile("/sys/kernel/security/lsm")
	if err != nil {
		return false, fmt.Errorf("list the kernel's security modules: %w", err)
	}
	return slices.Contains(strings.Split(strings.TrimSpace(string(list)), ","), "bpf"), nil
}
