package ctrd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/signal"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/linux/secrets"
	"github.com/sallyport/sallyport/spec"
)

// reloadTimeout bounds a reload: two changes of the record, and a call for each signal.
const reloadTimeout = 30 * time.Second

// Reload implements [runner.Runtime]. Everything that may fail is prepared first. Then the record
// is marked, so that the next daemon sends the signal if this one is killed before it has.
func (c *Client) Reload(ctx context.Context, group string, want spec.Container) (err error) {
	defer c.explain(ctx, group, &err)
	ctx, cancel := c.ctx(ctx, reloadTimeout)
	defer cancel()
	id := spec.ID(group, want.Name)
	record, err := c.client.ContainerService().Get(ctx, id)
	switch {
	case errdefs.IsNotFound(err):
		return fmt.Errorf("reload %s: %w", id, host.ErrEnded)
	case err != nil:
		return c.unanswered(fmt.Errorf("reload %s: %w", id, err))
	}
	was := fromLabels(record.Labels)
	if was.Digest != want.Digest {
		return fmt.Errorf("reload %s: it was made from another definition", id)
	}
	given, err := secrets.Look(c.cfg.Layout, group, &want)
	if err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	untold, err := given.Untold()
	if err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	files := want.NotLoaded(was.Loaded)
	for _, f := range want.FilesWith(untold) {
		if !has(files, f.Path) {
			files = append(files, f)
		}
	}
	names := append(want.SecretSignals(untold), spec.ReloadSignals(files)...)
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	signals, err := parseSignals(slices.Compact(names))
	if err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	ns, pid, err := c.mountNamespace(ctx, id)
	if err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	defer ns.Close()
	for _, sig := range signals {
		if !acts(pid, sig) {
			return c.unhandled(group, want.Name, sig)
		}
	}
	switches, err := c.prepareReload(ctx, ns, record, group, &want, given, files)
	defer switches.close()
	if err != nil {
		return &hint.Error{
			Err:  fmt.Errorf("reload %s: %w", id, err),
			Hint: fmt.Sprintf("\"sallyport restart %s\" starts it with the files in their places", id),
		}
	}
	if err := c.relabel(ctx, id, map[string]string{labelLoaded: want.Loading(was.Loaded)}); err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	if err := switches.switchAll(ns); err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	for _, sig := range signals {
		if err := c.signal(ctx, id, sig); err != nil {
			return err
		}
	}
	if err := given.Told(untold); err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	if err := c.relabel(ctx, id, map[string]string{labelLoaded: want.Loaded(), labelReloaded: now}); err != nil {
		return fmt.Errorf("reload %s: %w", id, err)
	}
	return nil
}

// prepareReload prepares the change of files, each where it was placed.
func (c *Client) prepareReload(ctx context.Context, ns *os.File, record containers.Container, group string, want *spec.Container, given secrets.Given, files []spec.File) (all fileSwitches, err error) {
	placed, err := placedFiles(&spec.Group{Name: group}, *want, nil)
	if err != nil {
		return nil, err
	}
	changed := slices.DeleteFunc(slices.Clone(want.Files), func(f spec.File) bool { return !has(files, f.Path) })
	own := owned{Given: given}
	if slices.ContainsFunc(changed, func(f spec.File) bool { return f.Owner != "" || len(f.Secrets) > 0 }) {
		image, err := c.facts(ctx, host.Image{Ref: want.Image, Name: record.Image, Digest: record.Labels[labelImageDigest]})
		if err != nil {
			return nil, err
		}
		if own, err = c.own(ctx, image, group, want); err != nil {
			return nil, err
		}
	}
	if changed, err = render(changed, own.Values); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		dir    string
		secret bool
	}{{c.cfg.Layout.FilesPath(group, want.Name), false}, {given.Files, true}} {
		files := withSecrets(changed, part.secret)
		if len(files) == 0 {
			continue
		}
		some, err := prepareSwitches(ns, part.dir, placed, files, own.files)
		if all = append(all, some...); err != nil {
			return all, err
		}
	}
	return all, nil
}

func parseSignals(names []string) (signals []syscall.Signal, err error) {
	for _, name := range names {
		sig, err := signal.ParseSignal(name)
		if err != nil {
			return nil, err
		}
		signals = append(signals, sig)
	}
	return signals, nil
}

// startUp is how long a program may take to set its handlers.
const startUp = 10 * time.Second

// unhandled returns the error for a program that would not notice a signal. While the program is in
// its start-up, the error may pass by itself.
func (c *Client) unhandled(group, container string, sig syscall.Signal) error {
	name := unix.SignalName(sig)
	err := &hint.Error{
		Err:  fmt.Errorf("reload %s: its program has no handler for %s, and would not read its files again", spec.ID(group, container), cmp.Or(name, sig.String())),
		Hint: "write the signal that the program's manual names, or take reload out of the file: then the container is replaced",
	}
	if at := startedAt(c.cfg.Layout, group, container); !at.IsZero() && time.Since(at) < startUp {
		return startingError{err}
	}
	return err
}

// A startingError is the error of a program that may still be in its start-up.
type startingError struct{ error }

func (e startingError) Unwrap() error { return e.error }

// Unavailable implements what [host.Passing] looks for.
func (startingError) Unavailable() {}

// relabel sets some labels of a container.
func (c *Client) relabel(ctx context.Context, id string, labels map[string]string) error {
	var paths []string
	for name := range labels {
		paths = append(paths, "labels."+name)
	}
	_, err := c.client.ContainerService().Update(ctx, containers.Container{ID: id, Labels: labels}, paths...)
	if err != nil {
		return c.unanswered(fmt.Errorf("label the container: %w", err))
	}
	return nil
}

// mountNamespace returns the mount namespace of a container's program, and its number. The program
// is asked for again afterwards: then the number was its own when the namespace was opened.
func (c *Client) mountNamespace(ctx context.Context, id string) (ns *os.File, pid int, err error) {
	p, err := c.process(ctx, id)
	switch {
	case err != nil:
		return nil, 0, err
	case p == nil || taskState(p) != host.TaskRunning:
		return nil, 0, host.ErrEnded
	}
	ns, err = os.Open("/proc/" + strconv.Itoa(int(p.Pid)) + "/ns/mnt")
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, host.ErrEnded
	}
	if err != nil {
		return nil, 0, err
	}
	again, err := c.process(ctx, id)
	switch {
	case err != nil:
	case again == nil || again.Pid != p.Pid || taskState(again) != host.TaskRunning:
		err = host.ErrEnded
	default:
		return ns, int(p.Pid), nil
	}
	ns.Close()
	return nil, 0, err
}
