package ctrd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// A leftover is a part of a task that containerd doesn't know. It is the bundle, which prevents
// another task of the same id, or the state that the runtime has, possibly with a process. An
// interrupted call leaves it. When a daemon is killed, all its calls are cut off. Every version of
// containerd cleans up after such a call while the shim still works on it. If the clean-up fails,
// containerd forgets the task.
type leftover struct {
	bundle  string // its folder, which may be absent
	runtime string // the runtime's folder for it; empty without
	program string // the runtime; empty without
}

const (
	// settles is how long a call that was cut off may go on before we act.
	settles = time.Second
	// leftoverAfter is how long something has to be left before it counts as a leftover. containerd
	// gives its own clean-up five seconds, twice. Each Client has a value of its own, which tests
	// shorten.
	leftoverAfter = 11 * time.Second
	// leftoverTimeout bounds each request about a leftover to the shim and to the runtime.
	leftoverTimeout = 10 * time.Second
)

// runtimeRoot is where every containerd has its runtimes keep their containers, independent of its
// own folders.
const runtimeRoot = "/run/containerd/runc"

// leftover returns what exists of a task. If containerd knows the task, that is no leftover. A nil
// leftover means that nothing exists.
func (c *Client) leftover(id string) *leftover {
	runtime := filepath.Join(runtimeRoot, c.cfg.Layout.Namespace, id)
	for _, state := range []string{"", "state"} { // below the socket's folder, or beside the socket if private
		bundle := filepath.Join(filepath.Dir(c.cfg.Address), state, "io.containerd.runtime.v2.task", c.cfg.Layout.Namespace, id)
		if program := c.runtimeOf(runtime, bundle); program != "" {
			return &leftover{bundle, runtime, program}
		}
		if _, err := os.Lstat(bundle); err == nil {
			return &leftover{bundle: bundle}
		}
	}
	return nil
}

func (s *leftover) Error() string {
	return "containerd has lost track of it, and has left " + cmp.Or(s.runtime, s.bundle)
}

// removeLeftover ends and removes what containerd has lost. It goes through the shim, as containerd
// would. If the shim is gone or has lost it too, it goes through the runtime. It removes the bundle
// last, when no process can be in it.
func (c *Client) removeLeftover(ctx context.Context, shimGroup, id string, s *leftover) error {
	c.log.Warn("containerd has lost a task, removing it without containerd", "container", id, "bundle", s.bundle, "runtime", s.runtime)
	// The runtime writes its log into it, and fails without it.
	if err := os.MkdirAll(filepath.Join(s.bundle, "rootfs"), 0o711); err != nil {
		return err
	}
	if err := c.endHungShim(ctx, shimGroup, 1); err != nil {
		return err
	}
	err := c.removeInShim(ctx, shimGroup, id)
	if now := c.leftover(id); now != nil && now.runtime != "" {
		if err := c.removeInRuntime(ctx, now); err != nil {
			return err
		}
		err = c.removeInShim(ctx, shimGroup, id)
	}
	if err != nil {
		c.log.Warn("the shim still has a task that is gone", "container", id, "error", err)
	}
	return removeBundle(s.bundle)
}

// removeInRuntime ends and deletes a container in any state.
func (c *Client) removeInRuntime(ctx context.Context, s *leftover) error {
	ctx, cancel := c.ctx(ctx, leftoverTimeout)
	defer cancel()
	root, id := filepath.Split(s.runtime)
	out, err := exec.CommandContext(ctx, s.program, "--root", root, "delete", "--force", id).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s delete %s: %w: %s", s.program, id, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// removeBundle removes a bundle and its work folder. It doesn't follow what is mounted as its root
// file system. That folder may have entries: a runtime that was cut off made its mount points in it
// after the clean-up had unmounted it.
func removeBundle(bundle string) error {
	work, err := os.Readlink(filepath.Join(bundle, "work"))
	if err == nil && filepath.IsAbs(work) && filepath.Base(work) == filepath.Base(bundle) {
		if err := os.RemoveAll(work); err != nil {
			return err
		}
	}
	rootfs := filepath.Join(bundle, "rootfs")
	if err := mount.UnmountAll(rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", rootfs, err)
	}
	// Only what is not mounted can be renamed, and after that nothing can be mounted at its path.
	// An attempt that was cut off may have left its folder.
	unmounted := filepath.Join(bundle, "unmounted")
	if err := os.RemoveAll(unmounted); err != nil {
		return err
	}
	if err := os.Rename(rootfs, unmounted); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.RemoveAll(bundle)
}
