package shim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// Check implements [Volumes].
func (h *HostVolumes) Check(_ context.Context, want *spec.Group) error {
	for _, v := range want.Volumes {
		if v.HostPath == "" {
			continue
		}
		folder, err := h.openHostPath(v.HostPath, readOnly(want, v.Name))
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		folder.Close()
	}
	return nil
}

// readOnly says that no container of the group writes to the volume.
func readOnly(g *spec.Group, volume string) bool {
	for _, c := range g.Containers {
		for _, m := range c.Mounts {
			if m.Volume == volume && !m.ReadOnly {
				return false
			}
		}
	}
	return true
}

func (h *HostVolumes) mountHostPath(path string, want *spec.Group, v spec.Volume) error {
	folder, err := h.openHostPath(v.HostPath, readOnly(want, v.Name))
	if err != nil {
		return err
	}
	defer folder.Close()
	return mountFolder(folder, path)
}

// openHostPath opens a folder of the host that a volume may be. What is judged is what has been opened, and not a path that
// may lead elsewhere a moment later.
func (h *HostVolumes) openHostPath(path string, readOnly bool) (*os.File, error) {
	folder, err := openFolder(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &Problem{Err: fmt.Errorf("host path %s does not exist", path), Hint: "make the folder: mkdir -p " + path}
	case errors.Is(err, unix.ENOTDIR):
		return nil, &Problem{Err: fmt.Errorf("host path %s is not a folder", path), Hint: "name the folder; a single file comes into a container by a file block"}
	case err != nil:
		return nil, fmt.Errorf("host path: %w", err)
	}
	if err := h.judge(path, folder, readOnly); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

// judge says why the opened folder can't be a volume; nil when it can.
func (h *HostVolumes) judge(path string, folder *os.File, readOnly bool) error {
	where, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", folder.Fd()))
	if err != nil {
		return fmt.Errorf("host path %s: %w", path, err)
	}
	leads := "host path " + path
	if where != path {
		leads += " leads to " + where + ", and it"
	}
	if why := spec.HostPathRefused(where, readOnly); why != "" {
		return &Problem{Err: fmt.Errorf("%s can't be a volume", leads), Hint: why}
	}
	for _, own := range []string{h.layout.RunDir, h.layout.StateDir, h.layout.LogDir, h.layout.GroupsDir} {
		if own = realPath(own); own != "" && (within(where, own) || within(own, where)) {
			return &Problem{
				Err:  fmt.Errorf("%s can't be a volume: Sallyport keeps its own files in %s", leads, own),
				Hint: "choose a folder that has none of Sallyport's in it; for one that Sallyport keeps, write persistent = true",
			}
		}
	}
	return nil
}

// realPath is a path without links, as far as it leads.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// within says whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}
