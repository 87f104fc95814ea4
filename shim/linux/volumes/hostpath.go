package volumes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// Check implements [runner.Volumes].
func (v *Volumes) Check(_ context.Context, want *spec.Group) error {
	for _, vol := range want.Volumes {
		if vol.HostPath == "" {
			continue
		}
		folder, err := v.openHostPath(want, vol)
		if err != nil {
			return fmt.Errorf("volume %s: %w", vol.Name, err)
		}
		folder.Close()
	}
	return nil
}

// readOnly reports whether no container of the group may write to the volume.
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

func (v *Volumes) mountHostPath(path string, want *spec.Group, vol spec.Volume) error {
	folder, err := v.openHostPath(want, vol)
	if err != nil {
		return err
	}
	defer folder.Close()
	return mountFolder(folder, path)
}

// openHostPath opens the host's folder for a volume, if it may be one. It checks the opened folder
// and not the path, which may lead elsewhere a moment later.
func (v *Volumes) openHostPath(want *spec.Group, vol spec.Volume) (*os.File, error) {
	path := vol.HostPath
	folder, err := openFolder(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &hint.Error{Err: fmt.Errorf("host path %s does not exist", path), Hint: "make the folder: mkdir -p " + path}
	case errors.Is(err, unix.ENOTDIR):
		return nil, &hint.Error{Err: fmt.Errorf("host path %s is not a folder", path), Hint: "name the folder; a single file comes into a container by a file block"}
	case err != nil:
		return nil, fmt.Errorf("host path: %w", err)
	}
	if err := v.checkFolder(want, vol, folder); err != nil {
		folder.Close()
		return nil, err
	}
	return folder, nil
}

// checkFolder returns an error if the opened folder can't be the volume.
func (v *Volumes) checkFolder(want *spec.Group, vol spec.Volume, folder *os.File) error {
	where, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", folder.Fd()))
	if err != nil {
		return fmt.Errorf("host path %s: %w", vol.HostPath, err)
	}
	leads := "host path " + vol.HostPath
	if where != vol.HostPath {
		leads += " leads to " + where + ", and it"
	}
	if why := spec.HostPathRefused(where, readOnly(want, vol.Name)); why != "" {
		return &hint.Error{Err: fmt.Errorf("%s can't be a volume", leads), Hint: why}
	}
	if isKernel, err := isKernelFilesystem(folder); err != nil || isKernel {
		return &hint.Error{
			Err:  fmt.Errorf("%s can't be a volume: %w", leads, cmp.Or(err, errKernelFiles)),
			Hint: "name a folder that holds nothing but the group's data",
		}
	}
	for _, own := range []string{v.layout.RunDir, v.layout.StateDir, v.layout.LogDir, v.layout.GroupsDir} {
		if own = realPath(own); own != "" && (isWithin(where, own) || isWithin(own, where)) {
			return &hint.Error{
				Err:  fmt.Errorf("%s can't be a volume: Sallyport keeps its own files in %s", leads, own),
				Hint: "choose a folder without files of Sallyport; for one that Sallyport keeps, write persistent = true",
			}
		}
	}
	for _, socket := range v.sockets {
		if socket = realPath(socket); isWithin(socket, where) {
			return &hint.Error{
				Err:  fmt.Errorf("%s can't be a volume: the control socket %s is in it", leads, socket),
				Hint: "a process that can use the socket starts processes outside the group; choose a folder without such a socket",
			}
		}
	}
	return v.checkLinks(want, vol.HostPath, where)
}

var errKernelFiles = errors.New("the files in it are the kernel's")

// isKernelFilesystem reports whether a folder is on a filesystem that is an interface of the
// kernel, such as /proc. It does not matter where that is mounted.
func isKernelFilesystem(folder *os.File) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(folder.Fd()), &st); err != nil {
		return false, err
	}
	switch int64(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC,
		unix.SECURITYFS_MAGIC, unix.SELINUX_MAGIC, unix.BPF_FS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.NSFS_MAGIC, unix.EFIVARFS_MAGIC, unix.BINFMTFS_MAGIC:
		return true, nil
	}
	return false, nil
}

// realPath returns a path without links. If it can't be resolved, it is returned as it is.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}

// isWithin reports whether path is dir or below it.
func isWithin(path, dir string) bool {
	return path == dir || dir == "/" || strings.HasPrefix(path, dir+"/")
}
