package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
)

// checkFolders checks that only root can change what the daemon reads and runs. Without it, a group
// file that a stranger has prepared would run as root's.
func checkFolders(l layout.Layout, rt runtimeFlags, conf *configuration) (string, error) {
	// It names a program that the daemon runs. If it does not exist, only root may be able to make
	// it.
	if err := checkOwned("configuration", conf.path, lookAt); err != nil {
		return "", err
	}
	for _, dir := range []struct{ what, path string }{
		{"run folder", l.RunDir}, {"state folder", l.StateDir}, {"groups folder", l.GroupsDir}, {"log folder", l.LogDir},
	} {
		if err := checkOwned(dir.what, dir.path, lookAt); err != nil {
			return "", err
		}
	}
	if filepath.IsAbs(rt.Runtime) {
		if err := checkOwned("runtime", rt.Runtime, lookAt); err != nil {
			return "", err
		}
	}
	choice, err := rt.choose(l) // reads the state folder, which is safe by now
	if err != nil || choice == privateContainerd {
		return "only root can change them", err
	}
	return "only root can change them", checkOwned("folder of containerd's socket", filepath.Dir(choice), lookAt)
}

// sharedLogs is the one folder above the log folder that a group may write. On Ubuntu it belongs to
// root and the group syslog, whose daemon writes the host's logs there.
const sharedLogs = "/var/log"

// maxLinks is the number of symbolic links in a path that the kernel follows (path_resolution(7)).
const maxLinks = 40

// An inode has the facts about a file that checkOwned needs.
type inode struct {
	uid    uint32
	mode   fs.FileMode
	target string // of a symbolic link
}

// checkOwned returns an error if anyone but root could change or replace the folder at an absolute
// path. So root must own the folder, all its parents, and the links on the way. Others must not
// write to any of them.
//
// A parent with the sticky bit, such as /tmp, may be writable if the next folder of the path exists
// and is root's: the kernel then refuses others to rename or remove it (unlink(2), EPERM). If it
// does not exist, anyone could make it before the daemon does.
//
// Apart from that, a folder that does not exist is fine, since only root can make it. An access
// control list needs no look of its own: its mask is the mode's group bits (acl(5)).
func checkOwned(what, path string, look func(path string) (inode, error)) error {
	const elsewhere = "choose a folder below /root or /var/lib"
	at, rest, sticky, links := "/", split(path), false, 0
	for {
		node, err := look(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && sticky:
			return unmet(fmt.Sprintf("make it yourself: mkdir -m 700 %s; or %s", at, elsewhere),
				"%s %s: anyone could make %s before the daemon does, because %s is open to all", what, path, at, filepath.Dir(at))
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR): // making the folder shows what is wrong with the latter
			return nil
		case err != nil:
			return unmet("run it as root", "%s %s: find out who may write to %s: %w", what, path, at, err)
		case node.uid != 0:
			return unmet(fmt.Sprintf("%s; or look at everything in it, and type: chown root %s", elsewhere, at),
				"%s %s: %s belongs to uid %d, who could replace what the daemon runs", what, path, at, node.uid)
		}
		if node.mode.Type() == fs.ModeSymlink {
			if links++; links > maxLinks {
				return unmet(elsewhere, "%s %s: more than %d symbolic links", what, path, maxLinks)
			}
			rest = append(split(node.target), rest...)
			if at = filepath.Dir(at); filepath.IsAbs(node.target) {
				at = "/"
			}
			sticky = false // look again at the folder, which sets it
			continue
		}
		open := node.mode.Perm()&0o022 != 0 && !(at == sharedLogs && node.mode.Perm()&0o002 == 0)
		sticky = open && node.mode&fs.ModeSticky != 0 && len(rest) > 0
		switch {
		case open && node.mode&fs.ModeSticky != 0 && !sticky:
			return unmet(fmt.Sprintf("%s; or, if it is Sallyport's alone, type: chmod 700 %s", elsewhere, at),
				"%s %s: %s is open to all", what, path, at)
		case open && !sticky:
			return unmet(fmt.Sprintf("look at everything in it, and type: chmod go-w %s; or %s", at, elsewhere),
				"%s %s: others than root may write to %s (mode %04o), and could replace what the daemon runs", what, path, at, node.mode.Perm())
		case len(rest) == 0:
			return nil
		}
		at, rest = filepath.Join(at, rest[0]), rest[1:]
	}
}

// split returns the names in a path.
func split(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == filepath.Separator })
}

// lookAt returns a file of the host, without following a link.
func lookAt(path string) (inode, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return inode{}, err
	}
	node := inode{uid: info.Sys().(*syscall.Stat_t).Uid, mode: info.Mode()}
	if info.Mode().Type() == fs.ModeSymlink {
		node.target, err = os.Readlink(path)
	}
	return node, err
}
