package volumes

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// maxLinks is how many links the kernel follows on one path (MAXSYMLINKS).
const maxLinks = 40

// checkLinks returns an error if a host path must not be followed to where, the place that it led
// to when it was opened. A link of the path may be in a folder that containers write to. Then a
// container may have chosen the place.
func (v *Volumes) checkLinks(want *spec.Group, path, where string) error {
	real, links, err := resolveLinks(path)
	if err != nil {
		return fmt.Errorf("host path %s: %w", path, err)
	}
	if real != where {
		return fmt.Errorf("host path %s led to %s and leads to %s now", path, where, real)
	}
	if len(links) == 0 {
		return nil
	}
	written, err := v.writableFolders(want)
	if err != nil {
		return err
	}
	for _, link := range links {
		for dir := filepath.Dir(link); dir != "/"; dir = filepath.Dir(dir) {
			for _, w := range written {
				if sameFolder(dir, w) {
					return &hint.Error{
						Err:  fmt.Errorf("host path %s leads to %s by the link %s, which is in another volume: a container may have made it", path, where, link),
						Hint: "name the folder itself, or one that is in no other volume",
					}
				}
			}
		}
	}
	return nil
}

// writableFolders returns the folders that containers may write to: the mounted volumes of every
// group, and the host paths of the wanted group.
func (v *Volumes) writableFolders(want *spec.Group) ([]string, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(realPath(v.root())))
	if err != nil {
		return nil, fmt.Errorf("look at volumes: %w", err)
	}
	var all []string
	for _, m := range mounts {
		all = append(all, m.Mountpoint)
	}
	for _, vol := range want.Volumes {
		if vol.HostPath != "" && !readOnly(want, vol.Name) {
			all = append(all, vol.HostPath)
		}
	}
	return all, nil
}

// resolveLinks returns where a path leads and the links that it leads through. No path of a link
// has a link in it.
func resolveLinks(path string) (real string, links []string, err error) {
	real = "/"
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		at := filepath.Join(real, name) // also if name is .. or empty
		info, err := os.Lstat(at)
		if err != nil {
			return "", nil, err
		}
		if info.Mode()&os.ModeSymlink == 0 {
			real = at
			continue
		}
		if links = append(links, at); len(links) > maxLinks {
			return "", nil, unix.ELOOP
		}
		to, err := os.Readlink(at)
		if err != nil {
			return "", nil, err
		}
		if filepath.IsAbs(to) {
			real = "/"
		}
		rest = to + "/" + rest
	}
	return real, links, nil
}
