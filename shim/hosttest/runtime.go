package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/spec"
)

// A Runtime is the containerd of a Host. It implements [runner.Runtime].
type Runtime Host

func (r *Runtime) Image(ctx context.Context, ref string) (host.Image, error) {
	h := (*Host)(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if f := h.begin("image " + ref); f.err != nil {
		return host.Image{}, f.err
	}
	if now, ok := h.registry[ref]; ok && host.PullOf(ctx) == spec.PullAlways {
		if err := h.prove(ctx, now); err != nil {
			return host.Image{}, err
		}
		h.images[ref] = now
	}
	if h.missing[ref] {
		return host.Image{}, &hint.Error{Err: fmt.Errorf("image %s: not found", ref), Hint: "check the name"}
	}
	return host.Image{Ref: ref, Name: ref, Digest: h.digest(ref)}, h.prove(ctx, h.digest(ref))
}

// digest returns what a reference resolves to. The caller holds mu.
func (h *Host) digest(ref string) string {
	if d, ok := h.images[ref]; ok {
		return d
	}
	return "sha256:" + ref
}

func (r *Runtime) Observe(_ context.Context, group string) ([]host.ContainerState, error) {
	h := (*Host)(r)
	h.mu.Lock()
	defer h.mu.Unlock()
	operation := "observe containers"
	if group == "" {
		operation = "list containers"
	}
	f := h.begin(operation)
	h.containersUnknown[group] = f.err != nil
	if f.err != nil {
		return nil, f.err
	}
	if group != "" {
		h.observations[group]++
		h.noteReadiness(group)
	}
	var out []host.ContainerState
	for _, c := range h.containers {
		if group == "" || c.state.Group == group {
			c.endObserved = c.endObserved || c.state.Task == host.TaskStopped
			out = append(out, c.observed())
		}
	}
	slices.SortFunc(out, func(a, b host.ContainerState) int {
		return strings.Compare(spec.ID(a.Group, a.Name), spec.ID(b.Group, b.Name))
	})
	return out, nil
}

// observed returns the state of a container as containerd has it. Without a task it does not know
// how the container has ended.
func (c *container) observed() host.ContainerState {
	s := c.state
	if s.Task == host.TaskNone {
		s.ExitStatus, s.ExitedAt, s.OOMKilled = 0, time.Time{}, false
	}
	return s
}

func (r *Runtime) Create(_ context.Context, req host.CreateRequest) error {
	h := (*Host)(r)
	c := req.Container
	return h.act("create", req.Group.Name, c.Name, func(id string, old *container) error {
		if old != nil && old.state.Task != host.TaskNone {
			h.violated(Single, "%s was created a second time", id)
			return fmt.Errorf("container %s exists", id)
		}
		if req.Image.Ref != c.Image {
			h.violated(Contract, "%s was created from image %s", id, req.Image.Ref)
		}
		if err := h.checkProved(c, req.Image.Digest); err != nil {
			return err
		}
		h.checkRetained(id, req)
		h.checkOnce(id, old, req)
		net := h.nets[req.Group.Name]
		if net == nil || !net.pinned || !net.sealed {
			h.violated(Ruled, "%s was created before everything was denied", id)
			return fmt.Errorf("namespace of %s: not pinned", req.Group.Name)
		}
		capabilities, err := allowed(c)
		if err != nil {
			return err
		}
		devices, lines, err := h.devices(c)
		if err != nil {
			return err
		}
		mounts, contents := map[string]contract.Mount{}, map[string]int{}
		for _, m := range c.Mounts {
			if _, ok := h.volumes[req.Group.Name][m.Volume]; !ok {
				return fmt.Errorf("volume %s: not mounted", m.Volume)
			}
			contents[m.Volume] = h.volumes[req.Group.Name][m.Volume].content
			mounts[m.Path] = contract.Mount{Volume: m.Volume, ReadOnly: m.ReadOnly}
		}
		if req.Input && h.inputs[id] == nil { // one that is made again goes on with what the one before has left
			h.inputs[id] = &input{}
		}
		h.created++
		h.containers[id] = &container{
			group: req.Group, namespace: net.number, answers: map[string]verdict{}, mounted: mounts, contents: contents, capabilities: capabilities,
			readOnly: c.ReadOnly, tmpfs: c.Tmpfs, output: c.Output, outputOf: c.OutputOf, devices: devices,
			state: host.ContainerState{
				Group: req.Group.Name, Name: c.Name, Role: c.Role, Digest: c.Digest, ImageDigest: req.Image.Digest,
				Generation: req.Generation, Loaded: c.Loaded(), Devices: lines, Task: host.TaskCreated, CreatedAt: h.now().Add(h.created),
			},
		}
		return nil
	})
}

// allowed returns the capabilities of a container. It fails for a container that asks for a way
// out.
func allowed(c spec.Container) ([]string, error) {
	given := c.Capabilities
	if given == nil {
		given = spec.DefaultCapabilities
	}
	for _, name := range given {
		if !slices.Contains(spec.GrantableCapabilities(), name) {
			return nil, &hint.Error{Err: fmt.Errorf("container %s asks for %s", c.Name, name), Hint: "take it out"}
		}
	}
	for _, name := range c.Unsafe.Capabilities {
		if c.Role != spec.Ambassador || !slices.Contains(spec.UnsafeCapabilities(), name) {
			return nil, &hint.Error{Err: fmt.Errorf("container %s asks for %s as unsafe", c.Name, name), Hint: "take it out"}
		}
	}
	return slices.Concat(given, c.Unsafe.Capabilities), nil
}

func (r *Runtime) Start(_ context.Context, group, name string) error {
	h := (*Host)(r)
	return h.act("start", group, name, func(id string, c *container) error {
		if c == nil || c.state.Task != host.TaskCreated {
			return fmt.Errorf("container %s is not created", id)
		}
		h.checkStart(id, c)
		c.started, c.startedAt = true, h.observations[group]
		c.state.Task, c.state.PID, c.state.StartedAt = host.TaskRunning, uint32(1000+len(h.operations)), h.now()
		for _, who := range []string{id, "image " + c.group.Container(name).Image, "image " + c.state.ImageDigest} {
			if status, ok := h.exitAtOnce[who]; ok {
				c.end(status, h.now())
			}
		}
		return nil
	})
}

func (r *Runtime) Reload(_ context.Context, group string, want spec.Container) error {
	h := (*Host)(r)
	return h.act("reload", group, want.Name, func(id string, c *container) error {
		h.checkUncertain("sent a signal", id, c)
		if c == nil || c.state.Task != host.TaskRunning {
			return fmt.Errorf("reload %s: %w", id, host.ErrEnded)
		}
		if c.state.Digest != want.Digest {
			return fmt.Errorf("container %s was made from another definition", id)
		}
		files := want.NotLoaded(c.state.Loaded)
		if len(files) == 0 {
			h.violated(Contract, "%s was reloaded without need", id)
			return nil
		}
		if h.lostReloads[id] {
			delete(h.lostReloads, id)
			c.state.Loaded = want.Loading(c.state.Loaded)
			return fmt.Errorf("reload %s: its end is lost", id)
		}
		c.state.Loaded, c.state.ReloadedAt = want.Loaded(), h.now()
		c.signals = append(c.signals, spec.ReloadSignals(files)...)
		if status, ok := h.exitOnReload[id]; ok {
			c.end(status, h.now())
		}
		return nil
	})
}

func (r *Runtime) Stop(_ context.Context, group, name string, _ spec.Stop) error {
	h := (*Host)(r)
	return h.act("stop", group, name, func(id string, c *container) error {
		h.checkUncertain("stopped", id, c)
		if c == nil {
			return nil
		}
		if c.state.Task == host.TaskRunning {
			status, ok := h.stopStatus[id]
			if !ok {
				status = 143
			}
			c.end(status, h.now())
		}
		c.endedItself = false
		return nil
	})
}

func (r *Runtime) Remove(_ context.Context, group, name string) error {
	h := (*Host)(r)
	return h.act("remove", group, name, func(id string, c *container) error {
		h.checkUncertain("removed", id, c)
		delete(h.containers, id)
		return nil
	})
}

// act does one operation on one container and notifies the watchers.
func (h *Host) act(verb, group, name string, do func(id string, c *container) error) error {
	h.mu.Lock()
	h.noteAction(group)
	f := h.begin(verb + " " + name)
	err := f.err
	if err == nil || f.after {
		id := spec.ID(group, name)
		if failed := do(id, h.containers[id]); failed != nil {
			err = failed
		}
	}
	h.mu.Unlock()
	h.notify(group)
	return err
}
