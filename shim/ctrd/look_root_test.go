package ctrd

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// lookedAt lists the looks that are mounted, that have a folder, a snapshot or a lease.
func lookedAt(t *testing.T, c *Client) (all []string) {
	t.Helper()
	ctx, cancel := c.ctx(t.Context(), 0)
	defer cancel()
	dir := c.cfg.Layout.LooksDir()
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		all = append(all, "mount "+filepath.Base(m.Mountpoint))
	}
	folders, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, f := range folders {
		all = append(all, "folder "+f.Name())
	}
	held, err := c.client.LeasesService().List(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range held {
		if strings.HasPrefix(l.ID, lookPrefix) {
			all = append(all, "lease "+l.ID)
		}
	}
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	err = c.client.SnapshotService(snapshotter).Walk(ctx, func(_ context.Context, i snapshots.Info) error {
		if strings.HasPrefix(i.Name, lookPrefix) {
			all = append(all, "snapshot "+i.Name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

// A daemon that is killed while it looks into an image leaves the image mounted, and a snapshot and
// a lease. The next one removes them, and not its own.
func TestRootALookThatWasCutOff(t *testing.T) {
	eachServer(t, func(t *testing.T, killed *Client) {
		image := mustImage(t, killed, "oci-archive:"+busyboxArchive(t))
		next, err := New(Config{Address: killed.cfg.Address, Layout: killed.cfg.Layout})
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		facts, err := next.facts(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		_ = killed.withImage(t.Context(), facts.chainID, func(root string) error {
			if err := os.WriteFile(filepath.Join(root, "new"), nil, 0o600); !errors.Is(err, unix.EROFS) {
				t.Errorf("a file is written into the image: %v", err)
			}
			if info, err := os.Stat(filepath.Dir(root)); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("others can reach the image: %v, %v", info.Mode(), err)
			}
			id := filepath.Base(root)
			left := []string{"folder " + id, "lease " + id, "mount " + id, "snapshot " + id}
			if diff := cmp.Diff(left, lookedAt(t, next)); diff != "" {
				t.Fatalf("of a look (-want +got):\n%s", diff)
			}
			if err := UnmountLeftLooks(next.cfg.Layout); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff([]string{"lease " + id, "snapshot " + id}, lookedAt(t, next)); diff != "" {
				t.Errorf("after the next daemon has unmounted what was left (-want +got):\n%s", diff)
			}
			return next.withImage(t.Context(), facts.chainID, func(root string) error {
				id := filepath.Base(root)
				next.EndLeftLooks(t.Context())
				own := []string{"folder " + id, "lease " + id, "mount " + id, "snapshot " + id}
				if diff := cmp.Diff(own, lookedAt(t, next)); diff != "" {
					t.Errorf("of the next daemon's own look (-want +got):\n%s", diff)
				}
				_, err := os.Stat(filepath.Join(root, "bin"))
				return err
			})
		})
		if left := lookedAt(t, next); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	})
}
