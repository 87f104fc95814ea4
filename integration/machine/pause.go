package machine

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// pauseCode calls pause(2), or what comes nearest to it, for ever.
var pauseCode = map[string]struct {
	machine elf.Machine
	code    []byte
}{
	"amd64": {elf.EM_X86_64, []byte{
		0xb8, 34, 0, 0, 0, // mov eax, pause
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp to the begin
	}},
	"arm64": {elf.EM_AARCH64, []byte{
		0x00, 0x00, 0x80, 0xd2, // mov x0, 0
		0x01, 0x00, 0x80, 0xd2, // mov x1, 0
		0x02, 0x00, 0x80, 0xd2, // mov x2, 0
		0x03, 0x00, 0x80, 0xd2, // mov x3, 0
		0x28, 0x09, 0x80, 0xd2, // mov x8, ppoll
		0x01, 0x00, 0x00, 0xd4, // svc 0
		0xfa, 0xff, 0xff, 0x17, // b to the begin
	}},
}

// pauseProgram returns a static program of one page that waits until it is killed. A thousand of
// them take no memory worth measuring.
func pauseProgram(arch string) []byte {
	const base, alignment = 0x400000, 0x10000
	program, header, segment := pauseCode[arch], elf.Header64{}, elf.Prog64{}
	start := uint64(binary.Size(header) + binary.Size(segment))
	size := start + uint64(len(program.code))
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	header.Type, header.Machine, header.Version = uint16(elf.ET_EXEC), uint16(program.machine), uint32(elf.EV_CURRENT)
	header.Entry, header.Phoff, header.Ehsize = base+start, uint64(binary.Size(header)), uint16(binary.Size(header))
	header.Phentsize, header.Phnum = uint16(binary.Size(segment)), 1
	segment = elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X),
		Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: alignment,
	}
	var b bytes.Buffer
	for _, part := range []any{header, segment, program.code} {
		_ = binary.Write(&b, binary.LittleEndian, part) // to memory
	}
	return b.Bytes()
}

// PauseImage packs /pause, which waits until it is killed, into an image in the form of a group
// file.
func PauseImage(t testing.TB) string {
	t.Helper()
	if _, ok := pauseCode[runtime.GOARCH]; !ok {
		Need(t, "there is no pause for "+runtime.GOARCH)
	}
	program, archive := filepath.Join(t.TempDir(), "pause"), filepath.Join(t.TempDir(), "pause.tar")
	if err := os.WriteFile(program, pauseProgram(runtime.GOARCH), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := PackImage(archive, program+":/pause"); err != nil {
		t.Fatal(err)
	}
	return "oci-archive:" + archive
}
