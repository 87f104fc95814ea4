package ctrd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/mount"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
)

// checkUserFilesOf returns an error if the runtime could wait for ever at one of userFiles when it
// makes a container: the image has a named pipe there, or a volume that hides the image's /etc. A
// file of the group file hides both. rootfs are the mounts of the root file system.
func (c *Client) checkUserFilesOf(ctx context.Context, req host.CreateRequest, image *imageFacts, rootfs []mount.Mount) error {
	var paths []string
	for _, path := range userFiles {
		if !has(req.Container.Files, "/"+path) {
			paths = append(paths, path)
		}
	}
	for _, t := range req.Container.Tmpfs {
		if filepath.Clean(t.Path) == "/etc" {
			return nil
		}
	}
	for _, m := range req.Container.Mounts {
		if filepath.Clean(m.Path) != "/etc" {
			continue
		}
		for _, path := range paths {
			if err := plainIn(c.cfg.Layout.VolumePath(req.Group.Name, m.Volume), strings.TrimPrefix(path, "etc/")); err != nil {
				return userFileRefused(fmt.Sprintf("volume %s has at /%s", m.Volume, path), err)
			}
		}
		return nil
	}
	if !mayHavePipe(rootfs, paths) {
		return nil
	}
	return c.withImage(ctx, image.chainID, func(root string) error {
		for _, path := range paths {
			if err := plainIn(root, path); err != nil {
				return userFileRefused("the image has at /"+path, err)
			}
		}
		return nil
	})
}

func userFileRefused(where string, err error) error {
	return &hint.Error{
		Err:  fmt.Errorf("%w: %s %w", host.ErrUserFile, where, err),
		Hint: "the runtime reads /etc/passwd and /etc/group: make it a regular file, or place one with a file block",
	}
}

// plainIn returns an error if what is at a path below a folder of the host is no regular file. What
// is absent, and what can't be found out, is no error.
func plainIn(folder, path string) error {
	root, err := inside.OpenFolder(folder)
	if err != nil {
		return nil
	}
	defer root.Close()
	f, err := root.OpenFile(path)
	if errors.Is(err, inside.ErrNotRegular) {
		return inside.ErrNotRegular
	}
	if err == nil {
		_ = f.Close()
	}
	return nil
}

// mayHavePipe reports whether one of the paths could be a named pipe in a root file system. It
// looks into the layers, which takes a few system calls. Where a link could lead elsewhere, and
// where there are no such layers, the answer is yes.
func mayHavePipe(rootfs []mount.Mount, paths []string) bool {
	if len(rootfs) != 1 || rootfs[0].Type != "overlay" {
		return true
	}
	for _, option := range rootfs[0].Options {
		layers, ok := strings.CutPrefix(option, "lowerdir=")
		if !ok {
			continue
		}
		for layer := range strings.SplitSeq(layers, ":") {
			if !plain(filepath.Join(layer, "etc"), os.ModeDir) {
				return true
			}
			for _, path := range paths {
				if !plain(filepath.Join(layer, path), 0) {
					return true
				}
			}
		}
		return false
	}
	return true
}

// plain reports whether a path of a layer is of that type, absent, or the mark of what a layer
// removes: a character device 0:0.
func plain(path string, want os.FileMode) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return info.Mode().Type() == want || ok && info.Mode().Type() == os.ModeDevice|os.ModeCharDevice && st.Rdev == 0
}
