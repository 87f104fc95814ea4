package ctrd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/mount"
	"golang.org/x/sys/unix"
)

// A leftover is what is left of a task that containerd doesn't know: its bundle, which keeps another of the same id from being
// made, or what the runtime has of it, a process among it. It comes of a call that was cut, as all those of a killed daemon
// are. Up to its newest, containerd cleans up after such a call while the shim still works on it, and what then fails it
// forgets.
type leftover struct {
	bundle  string // its folder, which may be gone
	runtime string // the runtime's folder for it; empty without
}

const (
	// settles is how long what was cut may go on before anything is done about it.
	settles = time.Second
	// leftoverAfter is how long something has to be a leftover to be taken for one: containerd gives its own clean-up five seconds,
	// twice. A Client has its own, which tests shorten.
	leftoverAfter = 11 * time.Second
	// leftoverTimeout bounds what is asked of the shim, and of the runtime, about one.
	leftoverTimeout = 10 * time.Second
)

// runtimeRoot is where every containerd has runc keep its containers, whatever its own folders are.
const runtimeRoot = "/run/containerd/runc"

// leftover looks for what there is of a task; if containerd has the task, it is none. Nil is nothing.
func (c *Client) leftover(id string) *leftover {
	runtime := filepath.Join(runtimeRoot, c.cfg.Layout.Namespace, id)
	for _, state := range []string{"", "state"} { // the host's is below the socket's folder, a private one's beside the socket
		bundle := filepath.Join(filepath.Dir(c.cfg.Address), state, "io.containerd.runtime.v2.task", c.cfg.Layout.Namespace, id)
		if madeFrom(runtime, bundle) {
			return &leftover{bundle, runtime}
		}
		if _, err := os.Lstat(bundle); err == nil {
			return &leftover{bundle: bundle}
		}
	}
	return nil
}

// madeFrom says whether the runtime's folder is of a container made from that bundle: one of another containerd's may have
// the same id.
func madeFrom(runtime, bundle string) bool {
	var state struct {
		Config struct {
			Labels []string `json:"labels"`
		} `json:"config"`
	}
	b, err := os.ReadFile(filepath.Join(runtime, "state.json"))
	if err != nil || json.Unmarshal(b, &state) != nil {
		return false
	}
	return slices.Contains(state.Config.Labels, "bundle="+bundle)
}

func (s *leftover) Error() string {
	return "containerd has lost track of it, and has left " + cmp.Or(s.runtime, s.bundle)
}

// removeLeftover ends and takes away what containerd has lost: through the shim, as containerd would, and through the runtime if
// the shim is gone or has lost it too. The bundle goes last, when no process can be in it.
func (c *Client) removeLeftover(ctx context.Context, shimGroup, id string, s *leftover) error {
	c.log.Warn("containerd has lost a task, removing it without", "container", id, "bundle", s.bundle, "runtime", s.runtime)
	// The runtime writes its log into it, and does nothing without.
	if err := os.MkdirAll(filepath.Join(s.bundle, "rootfs"), 0o711); err != nil {
		return err
	}
	if err := c.endHungShim(ctx, shimGroup); err != nil {
		return err
	}
	err := c.removeInShim(ctx, shimGroup, id)
	if now := c.leftover(id); now != nil && now.runtime != "" {
		if err := c.removeInRuntime(ctx, now.runtime); err != nil {
			return err
		}
		err = c.removeInShim(ctx, shimGroup, id)
	}
	if err != nil {
		c.log.Warn("the shim keeps a task that is no more", "container", id, "error", err)
	}
	return removeBundle(s.bundle)
}

// removeInRuntime ends and deletes a container whatever state it is in.
func (c *Client) removeInRuntime(ctx context.Context, runtime string) error {
	ctx, cancel := c.ctx(ctx, leftoverTimeout)
	defer cancel()
	root, id := filepath.Split(runtime)
	out, err := exec.CommandContext(ctx, "runc", "--root", root, "delete", "--force", id).CombinedOutput()
	if err != nil {
		return fmt.Errorf("runc delete %s: %w: %s", id, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// removeBundle takes away a bundle and its work folder. What is mounted in it is not followed.
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
	if err := os.Remove(rootfs); err != nil && !errors.Is(err, os.ErrNotExist) { // not what may be mounted in it after all
		return err
	}
	return os.RemoveAll(bundle)
}
