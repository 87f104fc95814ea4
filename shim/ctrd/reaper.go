package ctrd

import (
	"debug/elf"
	"fmt"
	"os"
	"slices"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/shim/reaper"
)

// findReaper returns the program that is the first process of a container with init = true: this
// very binary, which needs no library of the image.
func findReaper() (oci.File, error) {
	program, err := os.Executable()
	if err != nil {
		return oci.File{}, fmt.Errorf("init: %w", err)
	}
	f, err := elf.Open(program)
	if err != nil {
		return oci.File{}, &hint.Error{Err: fmt.Errorf("init: %w", err), Hint: "the daemon's own program is the container's init: put it back where it was, or restart the daemon"}
	}
	defer f.Close()
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return oci.File{}, &hint.Error{Err: fmt.Errorf("init: %s needs libraries that an image may not have", program), Hint: "build it with CGO_ENABLED=0, or take init out of the container's block"}
	}
	return oci.File{Source: program, Path: reaper.Path}, nil
}
