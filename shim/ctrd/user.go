package ctrd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
)

// numericUser resolves the users that need no look into the image: no user, root, and "uid:gid".
func numericUser(name string) (specs.User, bool) {
	switch name {
	case "", "0", "root", "0:0", "root:root":
		return specs.User{}, true
	}
	uid, gid, ok := strings.Cut(name, ":")
	if !ok {
		return specs.User{}, false // its group is in the image's passwd, or nowhere
	}
	u, errU := strconv.ParseUint(uid, 10, 31)
	g, errG := strconv.ParseUint(gid, 10, 31)
	if errU != nil || errG != nil {
		return specs.User{}, false
	}
	return specs.User{UID: uint32(u), GID: uint32(g)}, true
}

// numericGroups resolves groups that need no look into the image. ok is false if one has a name.
func numericGroups(groups []string) (ids []uint32, ok bool) {
	for _, g := range groups {
		id, err := strconv.ParseUint(g, 10, 31)
		if err != nil {
			return nil, false
		}
		ids = append(ids, uint32(id))
	}
	return ids, true
}

// withGroups returns the user with more groups.
func withGroups(u specs.User, more []uint32) specs.User {
	for _, id := range more {
		if id != u.GID && !slices.Contains(u.AdditionalGids, id) {
			u.AdditionalGids = append(slices.Clip(u.AdditionalGids), id)
		}
	}
	return u
}

// imageUser resolves a user by the passwd and group files below root, the image's root filesystem.
// Groups are those that the group file names beside the user's.
func imageUser(root, name string, groups []string) (specs.User, error) {
	dir, err := os.OpenRoot(root) // an image's links must not lead out of it
	if err != nil {
		return specs.User{}, err
	}
	defer dir.Close()
	passwd, err := openIn(dir, "etc/passwd")
	if err != nil {
		return specs.User{}, err
	}
	defer passwd.Close()
	group, err := openIn(dir, "etc/group")
	if err != nil {
		return specs.User{}, err
	}
	defer group.Close()
	list, err := io.ReadAll(group)
	if err != nil {
		return specs.User{}, fmt.Errorf("the image's etc/group: %w", err)
	}
	u, ok := numericUser(name)
	if !ok {
		if u, err = findUser(name, passwd, bytes.NewReader(list), "write user = \"uid:gid\" in numbers, or a name that is in the image's /etc/passwd"); err != nil {
			return u, err
		}
	}
	more, err := findGroups(groups, list)
	return withGroups(u, more), err
}

// findGroups resolves groups by the content of a group file. A number need not be in it.
func findGroups(groups []string, list []byte) (ids []uint32, err error) {
	for _, g := range groups {
		if id, ok := numericGroups([]string{g}); ok {
			ids = append(ids, id...)
			continue
		}
		found, err := user.GetAdditionalGroups([]string{g}, bytes.NewReader(list))
		if err != nil || len(found) == 0 {
			return nil, &hint.Error{Err: fmt.Errorf("group %q is not in the image's /etc/group", g), Hint: "write its number in groups, or a name that is there"}
		}
		for _, id := range found {
			ids = append(ids, uint32(id))
		}
	}
	return ids, nil
}

// userFiles are the files with the users and the groups of a container. Older runtimes, those of
// runc 1.1 among them, open both inside the container at each exec (libcontainer, setupUser). What
// is there is up to the container: a named pipe makes the runtime wait for ever, and its shim too.
var userFiles = [2]string{"etc/passwd", "etc/group"}

// checkUserFiles returns an error if a runtime could wait at one of the files. They may be absent.
// They may change right after.
func checkUserFiles(root *inside.Root) error {
	for _, path := range userFiles {
		f, err := root.OpenFile(path)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &hint.Error{
				Err:  fmt.Errorf("%w: %w", host.ErrUserFile, userFileProblem(path, err)),
				Hint: "the runtime reads /etc/passwd and /etc/group at each exec: make it a regular file, or restart the container, which gets a new root file system",
			}
		}
	}
	return nil
}

// userFileProblem words the error of a file with users, whose path is named once.
func userFileProblem(path string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("the container's /%s: %w", path, err)
}

// runningUser resolves a user by the passwd and group files of the running container. What they
// hold gives no rights: those of another user are in [oci.ExecProcess].
func runningUser(root *inside.Root, name string) (specs.User, error) {
	if u, ok := numericUser(name); ok {
		return u, nil
	}
	var files [2]io.Reader
	for i, path := range userFiles {
		b, err := root.ReadFile(path, maxUsers)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return specs.User{}, userFileProblem(path, err)
		}
		files[i] = bytes.NewReader(b)
	}
	return findUser(name, files[0], files[1], "name it as UID:GID in numbers, or as a user that is in the container's /etc/passwd")
}

// findUser resolves a user by the content of a passwd and a group file.
func findUser(name string, passwd, group io.Reader, advice string) (specs.User, error) {
	found, err := user.GetExecUser(name, nil, passwd, group)
	if err != nil {
		return specs.User{}, &hint.Error{Err: fmt.Errorf("user %q: %w", name, err), Hint: advice}
	}
	u := specs.User{UID: uint32(found.Uid), GID: uint32(found.Gid)}
	for _, g := range found.Sgids {
		u.AdditionalGids = append(u.AdditionalGids, uint32(g))
	}
	return u, nil
}

// openIn opens a file that an image need not have. An absent file is empty.
func openIn(root *os.Root, name string) (io.ReadCloser, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // opening a pipe would wait for a writer
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	if err != nil {
		return nil, fmt.Errorf("the image's %s: %w", name, err)
	}
	switch fi, err := f.Stat(); {
	case err != nil:
		err = fmt.Errorf("the image's %s: %w", name, err)
		return nil, errors.Join(err, f.Close())
	case !fi.Mode().IsRegular() || fi.Size() > maxUsers:
		err = fmt.Errorf("the image's %s is no file of at most %d bytes", name, maxUsers)
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// maxUsers bounds, in bytes, what is read of an image to find a user.
const maxUsers = 1 << 20

// lookupUser resolves a user by the image's own files.
func (c *Client) lookupUser(ctx context.Context, chainID, name string, groups []string) (u specs.User, err error) {
	ctx, cancel := c.ctx(ctx, createTimeout)
	defer cancel()
	err = c.withImage(ctx, chainID, func(root string) (err error) {
		u, err = imageUser(root, name, groups)
		return err
	})
	return u, err
}
