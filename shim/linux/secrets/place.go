package secrets

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

const (
	// mountSize bounds the memory of one group's secrets, in bytes.
	mountSize = 64 << 20
	// mountFiles bounds the files and folders in it.
	mountFiles = 16384
)

// mount makes a group's file system in memory, if it isn't there. What is in it never gets to a
// disk by swapping, on kernels that can promise that (6.4).
func (s *Secrets) mount(dir string) error {
	switch ok, err := isMounted(dir); {
	case err != nil:
		return err
	case ok:
		return makeFolders(dir) // a daemon may have ended before it had made them
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	options := fmt.Sprintf("mode=0700,size=%d,nr_inodes=%d", mountSize, mountFiles)
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	err := unix.Mount("sallyport-secrets", dir, "tmpfs", flags, options+",noswap")
	if errors.Is(err, unix.EINVAL) {
		err = unix.Mount("sallyport-secrets", dir, "tmpfs", flags, options)
	}
	if err != nil {
		return &os.PathError{Op: "mount", Path: dir, Err: err}
	}
	return makeFolders(dir)
}

func makeFolders(dir string) error {
	for _, name := range []string{"values", "given", "files", "told", "new"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}

// isMounted reports whether a folder is a file system in memory of its own. Anything else that is
// mounted there is an error: a value could get to a disk.
func isMounted(dir string) (bool, error) {
	var own, above unix.Stat_t
	if err := unix.Lstat(dir, &own); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return false, nil
		}
		return false, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if err := unix.Lstat(filepath.Dir(dir), &above); err != nil {
		return false, &os.PathError{Op: "stat", Path: filepath.Dir(dir), Err: err}
	}
	if own.Dev == above.Dev {
		return false, nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	if st.Type != unix.TMPFS_MAGIC {
		return false, fmt.Errorf("%s is no file system in memory: unmount what others have mounted there", dir)
	}
	return true, nil
}

// An owner is who may read a file.
type owner struct {
	uid, gid int
	mode     uint32
}

func ownerOf(path string) (o owner, err error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return o, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return owner{int(st.Uid), int(st.Gid), st.Mode & 0o777}, nil
}

// write puts a file in the place of an earlier one. A reader finds the one or the other, whole.
func write(dir, path string, content []byte, o owner) error {
	f, err := os.CreateTemp(filepath.Join(dir, "new"), "")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // no error: it has another name by then
	_, err = f.Write(content)
	if err == nil {
		err = f.Chown(o.uid, o.gid)
	}
	if err == nil {
		err = f.Chmod(os.FileMode(o.mode))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func writeJSON(dir, path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	err = write(dir, path, text, owner{mode: 0o600})
	if errors.Is(err, unix.ENOSPC) {
		return inPlace(path, text, err)
	}
	return err
}

// A Given has what a container is given of the secrets of its group.
type Given struct {
	Folder string            // what it has at [spec.SecretsPath]; empty: nothing
	Files  string            // the folder for its files that have values in them
	Values map[string][]byte // of the secrets that it has in any way

	dir, container string
	versions       map[string]int64
}

// FilesPath returns the folder for a container's files that have secrets in them.
func FilesPath(l layout.Layout, group, container string) string {
	return filepath.Join(l.SecretsPath(group), "files", container)
}

// GivenPath returns what a container has at [spec.SecretsPath].
func GivenPath(l layout.Layout, group, container string) string {
	return givenPath(l.SecretsPath(group), container)
}

// Look returns what a container is to be given. It makes nothing.
func Look(l layout.Layout, group string, c *spec.Container) (g Given, err error) {
	g = Given{dir: l.SecretsPath(group), container: c.Name, Values: map[string][]byte{}, versions: map[string]int64{}, Files: FilesPath(l, group, c.Name)}
	names := c.SecretNames()
	if len(names) == 0 {
		return g, nil
	}
	if len(c.Secrets) > 0 {
		g.Folder = givenPath(g.dir, c.Name)
	}
	if ok, err := isMounted(g.dir); err != nil || !ok {
		return g, errors.Join(err, fmt.Errorf("the secrets of %s are not held", group))
	}
	all, err := readHeld(g.dir)
	if err != nil {
		return g, err
	}
	for _, name := range names {
		h, ok := all[name]
		if !ok {
			return g, fmt.Errorf("secret %s is not held", name)
		}
		if g.Values[name], err = os.ReadFile(valuePath(g.dir, name, h.Version)); err != nil {
			return g, fmt.Errorf("secret %s: %w", name, err)
		}
		g.versions[name] = h.Version
	}
	return g, nil
}

// Place makes what a new container is given. owners has the user and the group for each of its
// [spec.Container].Secrets, by name.
func (g Given) Place(uses []spec.SecretUse, owners map[string][2]uint32) error {
	if len(g.versions) == 0 {
		return nil
	}
	if err := g.clear(); err != nil {
		return err
	}
	if err := os.MkdirAll(g.Files, 0o700); err != nil {
		return err
	}
	if g.Folder != "" {
		if err := os.Mkdir(g.Folder, 0o755); err != nil {
			return err
		}
		if err := os.Chmod(g.Folder, 0o755); err != nil { // not subject to the umask
			return err
		}
	}
	for _, u := range uses {
		own := owners[u.Name]
		mode := u.Mode
		if mode == 0 {
			mode = spec.DefaultSecretMode
		}
		if err := write(g.dir, filepath.Join(g.Folder, u.Name), g.Values[u.Name], owner{int(own[0]), int(own[1]), mode}); err != nil {
			return full(fmt.Errorf("secret %s: %w", u.Name, err))
		}
	}
	known := map[string]told{}
	for name, version := range g.versions {
		known[name] = told{version, version}
	}
	return full(writeJSON(g.dir, toldPath(g.dir, g.container), known))
}

// Told notes that the program of a container knows of the values of some secrets.
func (g Given) Told(names []string) error {
	known, err := readTold(g.dir, g.container)
	if err != nil || known == nil {
		return err
	}
	for _, name := range names {
		t := known[name]
		t.Known = g.versions[name]
		known[name] = t
	}
	return writeJSON(g.dir, toldPath(g.dir, g.container), known)
}

// Untold returns the secrets that have other values than the program of the container was given,
// sorted.
func (g Given) Untold() (names []string, err error) {
	known, err := readTold(g.dir, g.container)
	for name, version := range g.versions {
		if known[name].Known != version {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, err
}

func (g Given) clear() error {
	return errors.Join(os.RemoveAll(givenPath(g.dir, g.container)), os.RemoveAll(g.Files), removeFile(toldPath(g.dir, g.container)))
}

// Forget removes what a container was given. An absent group is no error.
func Forget(l layout.Layout, group, container string) error {
	g := Given{dir: l.SecretsPath(group), container: container, Files: FilesPath(l, group, container)}
	if err := g.clear(); err != nil {
		return fmt.Errorf("secrets of %s: %w", spec.ID(group, container), err)
	}
	return nil
}

func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
