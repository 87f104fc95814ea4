package devices

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"tags.cncf.io/container-device-interface/pkg/cdi"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// cdiDirs are the folders with CDI specs. The later one wins, as everywhere.
var cdiDirs = []string{"/etc/cdi", "/var/run/cdi"}

// FindCDI returns what the CDI specs of this host give a container for the names in its file. A
// name that no spec has is a [hint.Error], and so is a spec that asks for what no container gets.
func (h Host) FindCDI(c spec.Container) (oci.CDI, error) {
	if len(c.CDI) == 0 {
		return oci.CDI{}, nil
	}
	var dirs []string
	for _, dir := range cdiDirs {
		dirs = append(dirs, filepath.Join(h.root, dir))
	}
	cache, err := cdi.NewCache(cdi.WithAutoRefresh(false), cdi.WithSpecDirs(dirs...))
	if err != nil {
		return oci.CDI{}, fmt.Errorf("container %q: CDI specs: %w", c.Name, err)
	}
	edits := &specs.Spec{}
	unknown, err := cache.InjectDevices(edits, c.CDI...)
	switch {
	case len(unknown) > 0:
		return oci.CDI{}, unknownCDI(c, cache, unknown)
	case errors.Is(err, fs.ErrNotExist):
		return oci.CDI{}, &hint.Error{Err: fmt.Errorf("container %q: CDI: %w", c.Name, err), Hint: "plug it in, or make the CDI spec again: it is looked for again by itself"}
	case err != nil:
		return oci.CDI{}, &hint.Error{Err: fmt.Errorf("container %q: CDI: %w", c.Name, err), Hint: "make the CDI spec again, as with \"nvidia-ctk cdi generate\""}
	}
	given, err := oci.ReadCDI(c, edits, oci.CDIHost{Look: kindOf, Soname: soname})
	if err != nil {
		return oci.CDI{}, err
	}
	for i, d := range given.Devices {
		kernel, err := h.Kernel(d.Kernel.Type, d.Kernel.Major, d.Kernel.Minor)
		if err != nil {
			return oci.CDI{}, fmt.Errorf("container %q: CDI: device %s: %w", c.Name, d.Path, err)
		}
		given.Devices[i].Kernel = kernel
	}
	return given, nil
}

// unknownCDI returns the error for names that no spec has.
func unknownCDI(c spec.Container, cache *cdi.Cache, unknown []string) error {
	has := cache.ListDevices()
	advice := "make a CDI spec in /etc/cdi or /var/run/cdi, as with \"nvidia-ctk cdi generate\": there is none on this host"
	if len(has) > 0 {
		more := ""
		if len(has) > mostNames {
			has, more = has[:mostNames], fmt.Sprintf(" and %d more", len(has)-mostNames)
		}
		advice = "name one of " + strings.Join(has, ", ") + more
	}
	var broken []string
	for path := range cache.GetErrors() {
		broken = append(broken, path)
	}
	if slices.Sort(broken); len(broken) > 0 {
		advice += "; can't be read: " + strings.Join(broken, ", ")
	}
	return &hint.Error{Err: fmt.Errorf("container %q: no CDI spec of this host has %s", c.Name, strings.Join(unknown, ", ")), Hint: hint.Excerpt(advice, hint.Long)}
}

// kindOf returns what a path of the host is, without its links.
func kindOf(path string) (real string, kind oci.FileKind) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path, oci.NoFile
	}
	info, err := os.Lstat(real)
	switch {
	case err != nil:
		return real, oci.NoFile
	case info.Mode().IsRegular():
		return real, oci.PlainFile
	case info.Mode()&fs.ModeSocket != 0:
		return real, oci.Socket
	}
	return real, oci.OtherFile
}

// soname returns the name by which programs ask for a library. It is "" for what is none.
func soname(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil || len(names) != 1 {
		return ""
	}
	return names[0]
}
