package ctrd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/inside"
	"github.com/sallyport/sallyport/spec"
)

// copyBuffer is how much of a copy is sent at once, in bytes.
const copyBuffer = 32 << 10

var _ host.Copier = (*Client)(nil)

// Copy implements [host.Copier]. Files that come into the container belong to the user of its
// program. It sees all mounts of the container, and goes on if the container ends meanwhile.
func (c *Client) Copy(ctx context.Context, req host.CopyRequest) (err error) {
	id := spec.ID(req.Group, req.Container)
	defer c.explain(ctx, req.Group, &err)
	t, err := c.target(ctx, id)
	if errors.Is(err, errNotRunning) {
		return &hint.Error{
			Err:  fmt.Errorf("container %s doesn't run, and only a running one has its files", id),
			Hint: "its root file system is made anew when it starts; \"sallyport status " + req.Group + "\" shows why it doesn't run",
		}
	}
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	root, err := inside.OpenRoot(t.pid, t.spec.Linux.CgroupsPath)
	if err != nil {
		return fmt.Errorf("copy: container %s: %w", id, err)
	}
	defer root.Close()
	if req.Out != nil {
		out := bufio.NewWriterSize(req.Out, copyBuffer)
		if _, err = root.Pack(ctx, out, req.Path, req.Skip); err == nil {
			err = out.Flush()
		}
	} else {
		owner := &inside.Owner{UID: int(t.spec.Process.User.UID), GID: int(t.spec.Process.User.GID)}
		_, err = root.Unpack(ctx, req.In, inside.UnpackRequest{Path: req.Path, Follow: true, Whole: req.Whole, Owner: owner, Skip: req.Skip})
	}
	return copyProblem(id, req.Path, err)
}

// copyProblem words the error of a copy.
func copyProblem(id, path string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
	}
	worded := fmt.Errorf("%s:%s: %w", id, path, hint.Bound(err))
	if errors.Is(err, unix.EROFS) {
		return &hint.Error{Err: worded, Hint: "the container has its root, or what is mounted there, read-only; copy to a volume or a tmpfs of it"}
	}
	return worded
}
