package ctrd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/api/services/tasks/v1"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/core/mount"
	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errgrpc"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/ctrd/apparmor"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/secrets"
	"github.com/sallyport/sallyport/shim/logs/bound"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

const (
	runtimeName = "io.containerd.runc.v2"
	// createTimeout bounds snapshot, shim and runtime together. On a busy small host a runtime
	// takes seconds.
	createTimeout = time.Minute
	// A task that can't be created for no known reason is tried this many times. In the pause
	// between, a shim that is ending has ended.
	createAttempts = 3
	createAgain    = 50 * time.Millisecond
)

// Create implements [runner.Runtime]. It makes as few calls of containerd as possible: record,
// snapshot, task. The record comes first, because it keeps containerd from collecting the snapshot.
//
// A container whose runtime refuses the AppArmor profile is made without it.
func (c *Client) Create(ctx context.Context, req host.CreateRequest) (err error) {
	defer c.explain(ctx, req.Group.Name, &err)
	profile := c.profile(ctx)
	err = c.create(ctx, req, profile)
	if profile != "" && apparmor.Refused(err) && ctx.Err() == nil {
		c.log.Warn("container is created without its AppArmor profile, which the runtime refuses", "container", spec.ID(req.Group.Name, req.Container.Name), "error", err)
		err = c.create(ctx, req, "")
	}
	return err
}

// create is Create with an AppArmor profile. An empty one is none.
func (c *Client) create(ctx context.Context, req host.CreateRequest, profile string) error {
	id := spec.ID(req.Group.Name, req.Container.Name)
	if err := c.checkSigned(req); err != nil {
		return hint.Bound(fmt.Errorf("create %s: %w", id, err))
	}
	if err := c.fillVolumes(ctx, req); err != nil {
		return hint.Bound(fmt.Errorf("create %s: %w", id, err)) // a name in the image is quoted
	}
	release, err := c.makeTurn(ctx, req.Group.Name)
	if err != nil {
		return c.unanswered(fmt.Errorf("create %s: %w", id, err))
	}
	defer release()
	ctx, cancel := c.ctx(ctx, createTimeout)
	defer cancel()
	image, err := c.facts(ctx, req.Image)
	if err != nil {
		return c.unanswered(err)
	}
	snapshotter, err := c.snapshotter(ctx)
	if err != nil {
		return c.unanswered(err)
	}
	resolvers, _, err := hostResolvers("/")
	if err != nil {
		return err
	}
	files, err := placedFiles(req.Group, req.Container, resolvers)
	if err != nil {
		return err
	}
	own, err := c.own(ctx, image, req.Group.Name, &req.Container)
	if err != nil {
		return hint.Bound(fmt.Errorf("create %s: %w", id, err))
	}
	if err := c.ownVolumes(ctx, req, image); err != nil {
		return hint.Bound(fmt.Errorf("create %s: %w", id, err))
	}
	record, err := c.record(ctx, req, image, files, profile)
	if err != nil {
		return hint.Bound(fmt.Errorf("create %s: %w", id, err)) // an image's list of users is quoted
	}
	record.Snapshotter = snapshotter
	if err := c.addRecord(ctx, req, record); err != nil {
		return c.unanswered(fmt.Errorf("create %s: %w", id, err))
	}
	if err := c.addTask(ctx, req, image, record, files, own); err != nil {
		release() // another has its turn while this one is removed
		ctx, cancel := c.cleanup(ctx)
		defer cancel()
		if err := c.remove(ctx, req.Group.Name, req.Container.Name); err != nil {
			c.log.Warn("container that couldn't be made is not wholly removed", "container", id, "error", err)
		}
		return hint.Bound(err)
	}
	return nil
}

// record describes the container. It makes nothing.
func (c *Client) record(ctx context.Context, req host.CreateRequest, image *imageFacts, files []spec.File, profile string) (containers.Container, error) {
	group, l := req.Group, c.cfg.Layout
	user, err := c.user(ctx, image, req.Container.User, req.Container.Groups)
	if err != nil {
		return containers.Container{}, err
	}
	if err := oci.CheckProbes(req.Container, image.raw); err != nil {
		return containers.Container{}, err
	}
	in := oci.Input{
		Group:     group.Name,
		Container: req.Container,
		Image:     image.config,
		User:      user,
		ShimGroup: c.shimGroup(group.Name),
		Netns:     l.NetnsPath(group.Name),
		Cgroup:    l.CgroupPath(group.Name, req.Container.Role, req.Container.Name),
		Volumes:   make(map[string]string),
		Files:     placeFiles(l.FilesPath(group.Name, req.Container.Name), secrets.FilesPath(l, group.Name, req.Container.Name), files),
		Modes:     modesFolder(l.FilesPath(group.Name, req.Container.Name)),
		Host:      lookAtHost(),
	}
	in.Host.Highest, in.Host.AppArmor = c.limitsOf(in.ShimGroup), profile
	in.Leaves = leaves(group, req.Container)
	if in.Devices, err = c.devices.Find(req.Container); err != nil {
		return containers.Container{}, err
	}
	if in.CDI, err = c.devices.FindCDI(req.Container); err != nil {
		return containers.Container{}, err
	}
	if req.Container.Init {
		if in.Init, err = c.findReaper(); err != nil {
			return containers.Container{}, err
		}
	}
	if len(req.Container.Secrets) > 0 {
		in.Secrets = secrets.GivenPath(l, group.Name, req.Container.Name)
	}
	if req.Container.OutputOf != "" {
		in.Output = filepath.Dir(l.LogPath(group.Name, req.Container.Name))
	}
	for _, v := range group.Volumes {
		in.Volumes[v.Name] = l.VolumePath(group.Name, v.Name)
	}
	ociSpec, err := oci.CreateSpec(in)
	if err != nil {
		return containers.Container{}, err
	}
	encoded, err := typeurl.MarshalAny(ociSpec)
	if err != nil {
		return containers.Container{}, err
	}
	runtime, err := c.runtime()
	if err != nil {
		return containers.Container{}, err
	}
	id := spec.ID(group.Name, req.Container.Name)
	return containers.Container{
		ID:          id,
		Labels:      createLabels(req, image.config.StopSignal, oci.Lowered(req.Container, in.Host), oci.DeviceLines(req.Container, in.Devices, in.CDI, in.Leaves)),
		Image:       req.Image.Name,
		Runtime:     runtime,
		Spec:        encoded,
		SnapshotKey: id,
	}, nil
}

// addRecord gives containerd the record of the container. It replaces a container of the same id
// whose program doesn't run.
func (c *Client) addRecord(ctx context.Context, req host.CreateRequest, record containers.Container) error {
	defer c.members.making(record.ID, time.Now)()
	store := c.client.ContainerService()
	_, err := store.Create(ctx, record)
	if !errdefs.IsAlreadyExists(err) {
		return err
	}
	p, err := c.process(ctx, record.ID)
	if err != nil {
		return err
	}
	if p != nil && taskState(p) != host.TaskStopped {
		return fmt.Errorf("a container of that id is %s: %w", taskState(p), errdefs.ErrAlreadyExists)
	}
	if err := c.remove(ctx, req.Group.Name, req.Container.Name); err != nil {
		return err
	}
	_, err = store.Create(ctx, record)
	return err
}

// addTask makes everything else: files, root filesystem, and the process that is going to run the
// program.
func (c *Client) addTask(ctx context.Context, req host.CreateRequest, image *imageFacts, record containers.Container, files []spec.File, own owned) error {
	group, name, l := req.Group.Name, req.Container.Name, c.cfg.Layout
	if err := own.Place(req.Container.Secrets, own.uses); err != nil {
		return err
	}
	if err := own.writeFiles(l.FilesPath(group, name), files); err != nil {
		return err
	}
	if err := makeModes(l.FilesPath(group, name), req.Container.Tmpfs); err != nil {
		return err
	}
	for _, path := range []string{l.LogPath(group, name), l.ErrLogPath(group, name)} {
		if err := bound.Collapse(path); err != nil {
			c.log.Warn("output goes on at its offsets", "container", record.ID, "error", err)
		}
	}
	stdout, stderr, err := prepareOutput(l, req.Group, req.Container)
	if err != nil {
		return fmt.Errorf("output of %s: %w", record.ID, err)
	}
	stdin := ""
	if req.Input {
		if stdin, err = c.makeInput(group, name); err != nil {
			return fmt.Errorf("standard input of %s: %w", record.ID, err)
		}
	}
	mounts, err := c.addSnapshot(ctx, record, image.chainID)
	if err != nil {
		if errdefs.IsNotFound(err) {
			return &hint.Error{
				Err:  fmt.Errorf("image %s is known but its layers are not unpacked: %w", req.Image.Ref, err),
				Hint: "apply the group again; if that doesn't help, delete the image from containerd",
			}
		}
		return fmt.Errorf("root filesystem of %s: %w", record.ID, err)
	}
	if err := c.checkUserFilesOf(ctx, req, image, mounts); err != nil {
		return fmt.Errorf("create %s: %w", record.ID, err)
	}
	if size := req.Container.Resources.Disk; size > 0 && c.cfg.BoundLayer != nil && len(mounts) > 0 {
		if err := c.cfg.BoundLayer(ctx, size, layer(group, name, mounts[0])); err != nil {
			return fmt.Errorf("root filesystem of %s: %w", record.ID, err)
		}
	}
	return c.createTask(ctx, c.shimGroup(group), &tasks.CreateTaskRequest{
		ContainerID: record.ID,
		Rootfs:      rootfs(mounts),
		Stdin:       stdin,
		Stdout:      stdout,
		Stderr:      stderr,
	}, secretPrograms(req.Group, req.Container))
}

// createTask asks containerd for the task. A shim ends with its last task, and may have been ending
// when this task came to it. So a failure is tried again, unless an operator can mend it.
func (c *Client) createTask(ctx context.Context, shimGroup string, req *tasks.CreateTaskRequest, programs []string) error {
	if err := c.endHungShim(ctx, shimGroup, busyShimAsked); err != nil {
		return fmt.Errorf("create %s: %w", req.ContainerID, err)
	}
	for attempt := 1; ; attempt++ {
		err := c.starts.do(ctx, shimGroup, func() bool { return c.shimListens(shimGroup) }, func() error {
			_, err := c.client.TaskService().Create(ctx, req)
			return errgrpc.ToNative(err)
		})
		if err == nil {
			return nil
		}
		err = runtimeProblem("create", req.ContainerID, err, programs...)
		if _, mendable := errors.AsType[*hint.Error](err); mendable && c.leftover(req.ContainerID) == nil || attempt == createAttempts {
			return err
		}
		c.log.Info("task not created, trying again", "container", req.ContainerID, "error", err)
		if pause(ctx, createAgain) != nil || c.removeTask(ctx, shimGroup, req.ContainerID) != nil {
			return err
		}
	}
}

// shimGroup returns the value that containers have in common if they share a shim.
func (c *Client) shimGroup(group string) string {
	if c.cfg.HostShim {
		return hostShim
	}
	return group
}

// addSnapshot makes the container's writable layer. A layer that an earlier container left is not
// reused.
func (c *Client) addSnapshot(ctx context.Context, record containers.Container, parent string) ([]mount.Mount, error) {
	snapshots := c.client.SnapshotService(record.Snapshotter)
	mounts, err := snapshots.Prepare(ctx, record.SnapshotKey, parent)
	if !errdefs.IsAlreadyExists(err) {
		return mounts, err
	}
	if err := c.removeSnapshot(ctx, record.SnapshotKey); err != nil {
		return nil, err
	}
	return snapshots.Prepare(ctx, record.SnapshotKey, parent)
}

// rootfs puts a snapshot's mounts into a request. Overlay mounts get nodev, so that a device that
// an image contains can't be opened.
func rootfs(mounts []mount.Mount) []*types.Mount {
	var list []*types.Mount
	for _, m := range mounts {
		if m.Type == "overlay" {
			m.Options = append(m.Options, "nodev")
		}
		list = append(list, &types.Mount{Type: m.Type, Source: m.Source, Target: m.Target, Options: m.Options})
	}
	return list
}

// user returns the user that the container runs as: the one that the file names, or else the
// image's. Groups are those that the file names beside the user's.
func (c *Client) user(ctx context.Context, image *imageFacts, own string, groups []string) (specs.User, error) {
	name := own
	if name == "" {
		name = image.config.User
	}
	if u, ok := numericUser(name); ok {
		if more, ok := numericGroups(groups); ok {
			return withGroups(u, more), nil
		}
	}
	key := strings.Join(append([]string{name}, groups...), "\x00")
	if u, ok := image.users.Load(key); ok {
		return u.(specs.User), nil
	}
	u, err := c.lookupUser(ctx, image.chainID, name, groups)
	if err == nil {
		image.users.Store(key, u)
	}
	return u, err
}
