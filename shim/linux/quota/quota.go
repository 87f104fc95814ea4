// Package quota bounds what folders hold, by the project quotas of their file system: xfs, and ext4
// with the features project and quota, each mounted with prjquota.
//
// Each bounded folder has a project id of its own, on itself and on everything below it. The kernel
// counts what has an id, and refuses more than its limit. Nothing else is recorded: the id is on
// the folder and the limit in the file system, so both outlive the daemon and the host's boots.
//
// Pitfall: a project id is no more than an attribute of a file, and the file's owner may change it.
// So the filter of package promise refuses that to every container.
package quota

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// The project ids that we give. An id in this range that no file has is free. Other programs count
// from small numbers, or from 1048576 as the kubelet does.
const (
	FirstID = 0x5A110000
	LastID  = FirstID + 0xFFFF
)

// A State has the kernel's answers about a folder.
type State struct {
	Hard  bool   // the kernel can bound it
	Why   string // Hard is false: why not
	ID    uint32 // the folder's project id, if it is one of ours; else 0
	Limit int64  // bytes; 0: none
	Used  int64  // bytes, 0 without an ID
	Files int64  // files and folders, 0 without an ID
}

// Is reports whether the kernel bounds the folder at so many bytes, or can't bound it.
func (s State) Is(bytes int64) bool { return !s.Hard || s.Limit == roundUp(bytes) }

// Look returns what the kernel knows about a folder.
func Look(path string) (State, error) {
	fd, err := openFolder(path)
	if err != nil {
		return State{}, fmt.Errorf("quota: %w", err)
	}
	defer unix.Close(fd)
	s, err := look(fd)
	if err != nil {
		return State{}, fmt.Errorf("quota of %s: %w", path, err)
	}
	return s, nil
}

// Bound bounds what folders of one file system hold together. Zero bytes are no bound. What is in
// the folders counts. A second call changes nothing. The error is ErrSoft if the kernel can't bound
// them.
//
// The limit is set last: folders without one may not be wholly counted.
func Bound(ctx context.Context, bytes int64, paths ...string) error {
	if err := bound(ctx, bytes, paths); err != nil {
		return fmt.Errorf("bound %s: %w", paths[0], err)
	}
	return nil
}

// ErrSoft is the error for a folder that the kernel can't bound.
var ErrSoft = errors.New("the kernel can't bound it")

func bound(ctx context.Context, bytes int64, paths []string) error {
	fd, err := openFolder(paths[0])
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	s, err := look(fd)
	switch {
	case err != nil:
		return err
	case !s.Hard:
		return fmt.Errorf("%w: %s", ErrSoft, s.Why)
	case s.Is(bytes):
		return nil
	}
	if s.ID == 0 {
		if s.ID, err = claim(fd); err != nil {
			return err
		}
	}
	if s.Limit == 0 {
		for _, path := range paths {
			if err := tag(ctx, path, s.ID); err != nil {
				return err
			}
		}
	}
	return setLimit(fd, s.ID, bytes)
}

// openFolder opens a folder of ours for ioctl(2), which a descriptor of O_PATH isn't for.
func openFolder(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func look(fd int) (State, error) {
	if !enforces(fd) {
		return State{Why: softText(fd)}, nil
	}
	attr, err := attributes(fd)
	switch {
	case err != nil:
		return State{}, err
	case attr.project == 0:
		return State{Hard: true}, nil
	case attr.project < FirstID || attr.project > LastID:
		return State{Why: fmt.Sprintf("the folder is in project %d, which is another program's", attr.project)}, nil
	}
	q, err := usage(fd, attr.project)
	if err != nil {
		return State{}, err
	}
	return State{
		Hard: true, ID: attr.project,
		Limit: clamp(q.blockHard * quotaBlock), Used: clamp(q.space), Files: clamp(q.inodes),
	}, nil
}

func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }

// softText returns why a file system has no project quotas, and what gives it some.
func softText(fd int) string {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return "its file system has no project quotas"
	}
	switch int64(st.Type) {
	case unix.XFS_SUPER_MAGIC:
		return "its xfs is mounted without prjquota"
	case unix.EXT4_SUPER_MAGIC:
		return "its ext4 lacks the features project and quota, or is mounted without prjquota"
	}
	return "its file system has no project quotas"
}

// claim gives an opened folder a project id that nothing else has. An id is free if no file has it.
// The folder counts at once, so two programs that take one id see two files.
func claim(fd int) (uint32, error) {
	before, err := attributes(fd)
	if err != nil {
		return 0, err
	}
	for id := uint32(FirstID); id <= LastID; id++ {
		q, err := usage(fd, id)
		if err != nil {
			return 0, err
		}
		if q.inodes > 0 {
			continue
		}
		if err := setLimit(fd, id, 0); err != nil { // of an earlier holder
			return 0, err
		}
		if err := setProject(fd, id, true); err != nil {
			return 0, err
		}
		if q, err = usage(fd, id); err == nil && q.inodes == 1 {
			return id, nil
		}
		if err := errors.Join(err, setAttributes(fd, before)); err != nil { // or another program took it too
			return 0, fmt.Errorf("project %d: %w", id, err)
		}
	}
	return 0, fmt.Errorf("all project ids from %d to %d are in use", FirstID, LastID)
}
