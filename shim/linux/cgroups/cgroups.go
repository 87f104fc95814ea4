// Package cgroups puts the limits of groups in force, in the cgroups of a real host. The runtime
// sets a container's own limits, but for its disk weight: a weight counts among siblings, and the
// container's siblings are one level above what the runtime makes.
//
// Pitfall: on a hybrid host a controller is in a v1 hierarchy or in v2's, and the two have
// different files for the same limit.
package cgroups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/kernfile"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// Cgroups are the cgroups of a real host. Each controller is in one hierarchy: v2's or, on a hybrid
// host, one of v1's. The group's cgroup has the same path in all of them.
type Cgroups struct {
	layout layout.Layout
	log    *slog.Logger
	v2     string            // mount point
	v1     map[string]string // controller -> mount point of its hierarchy
	writes Writes            // nil: nothing is heard
}

// Writes reports writes to files. Implemented by [watch.Watcher].
type Writes interface {
	// Written makes these the files whose writes are reported under a name. It returns those that
	// don't exist. After an error none is reported.
	Written(name string, files []string) (missing []string, err error)
	// HearsWrites reports whether those of the last call for a name are reported.
	HearsWrites(name string) bool
}

// New finds the hierarchies. It changes nothing. A nil log discards.
func New(l layout.Layout, log *slog.Logger) (*Cgroups, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	found, err := cgroup.FindHierarchies()
	if err != nil && !errors.Is(err, cgroup.ErrNoCgroup2) {
		return nil, err
	}
	return &Cgroups{layout: l, log: log, v2: found.V2, v1: found.Controllers}, nil
}

// Hear makes w report under a group's name what others write to the limits that Limited has read.
// Call it before the first Limited.
func (c *Cgroups) Hear(w Writes) { c.writes = w }

// Heard reports whether changes of the limits are heard since Limited last read them.
func (c *Cgroups) Heard(group string) bool { return c.writes != nil && c.writes.HearsWrites(group) }

// listen makes what is about to be read heard. A failure changes nothing but [Cgroups.Heard].
func (c *Cgroups) listen(group string, places []place) {
	if c.writes == nil {
		return
	}
	var files []string
	for _, p := range places {
		for _, k := range p.knobs {
			files = append(files, k.path(c.mount(k), p.cgroup))
		}
	}
	if _, err := c.writes.Written(group, files); err != nil {
		c.log.Debug("changes of its limits are not heard: "+err.Error(), "group", group)
	}
}

// Limited implements [runner.Cgroups].
func (c *Cgroups) Limited(_ context.Context, want *spec.Group) host.Presence {
	places := c.places(want)
	c.listen(want.Name, places)
	for _, p := range places {
		for _, k := range p.knobs {
			content, err := kernfile.Read(k.path(c.mount(k), p.cgroup))
			switch {
			case errors.Is(err, fs.ErrNotExist) && k.limit == "":
			case errors.Is(err, fs.ErrNotExist):
				return host.Absent
			case err != nil:
				c.log.Warn("the limits could not be read", "group", want.Name, "error", err)
				return host.Unknown
			case !k.matches(string(content)):
				return host.Absent
			}
		}
	}
	return host.Present
}

// Limit implements [runner.Cgroups].
func (c *Cgroups) Limit(_ context.Context, want *spec.Group) error {
	for _, p := range c.places(want) {
		if err := c.limit(p.cgroup, p.knobs); err != nil {
			return explain(p.container, err)
		}
	}
	return nil
}

// A place is a cgroup with the knobs that are ours in it.
type place struct {
	cgroup    string
	container string // whose it is; empty: the group's
	knobs     []knob
}

// places returns the cgroup of the group, and those of its containers.
func (c *Cgroups) places(want *spec.Group) []place {
	all := []place{{c.layout.GroupCgroup(want.Name), "", c.knobs(want.Resources)}}
	for _, x := range want.Containers {
		weight := slices.DeleteFunc(c.knobs(spec.Resources{IOWeight: x.Resources.IOWeight}), func(k knob) bool {
			return k.controller != "io" && k.controller != "blkio"
		})
		all = append(all, place{c.layout.ContainerCgroup(want.Name, x.Role, x.Name), x.Name, weight})
	}
	return all
}

// explain names the container whose limit could not be set.
func explain(container string, err error) error {
	if container == "" {
		return err
	}
	if h, ok := errors.AsType[*hint.Error](err); ok {
		return &hint.Error{Err: fmt.Errorf("container %q: %w", container, h.Err), Hint: h.Hint}
	}
	return fmt.Errorf("container %q: %w", container, err)
}

// limit puts the limits of one cgroup in force.
func (c *Cgroups) limit(cgroup string, knobs []knob) error {
	if err := c.makeCgroup(cgroup, knobs); err != nil {
		return err
	}
	// v1 refuses a memory limit above the limit on memory and swap, and the reverse. What was
	// refused is written again after the rest.
	var refused []knob
	for _, k := range knobs {
		if c.set(k, cgroup) != nil {
			refused = append(refused, k)
		}
	}
	for _, k := range refused {
		if err := c.set(k, cgroup); err != nil {
			return explainLimit(k, cgroup, err)
		}
	}
	return nil
}

// set writes the knob's file unless it has the value already.
func (c *Cgroups) set(k knob, cgroup string) error {
	path := k.path(c.mount(k), cgroup)
	content, err := kernfile.Read(path)
	if errors.Is(err, fs.ErrNotExist) && k.limit == "" || err == nil && k.matches(string(content)) {
		return nil
	}
	if err != nil {
		return err
	}
	return writeKnob(path, k.value())
}

// writeKnob writes the content with one call. It creates no file: the kernel alone makes those of a
// cgroup.
func writeKnob(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// knobs returns the knobs of this host's hierarchies.
func (c *Cgroups) knobs(r spec.Resources) []knob {
	var out []knob
	for _, k := range knobsV1(r) {
		if c.v1[k.controller] != "" {
			out = append(out, k)
		}
	}
	for _, k := range knobsV2(r) {
		if !c.inV1(k.controller) {
			out = append(out, c.forScheduler(k))
		}
	}
	return out
}

func (c *Cgroups) inV1(controller string) bool {
	if controller == "io" {
		controller = "blkio"
	}
	return c.v1[controller] != ""
}

// forScheduler returns k, or the knob of BFQ if only that scheduler weighs I/O here. The file
// io.cost.qos exists in the topmost cgroup alone.
func (c *Cgroups) forScheduler(k knob) knob {
	if k.controller != "io" {
		return k
	}
	if _, err := os.Stat(filepath.Join(c.v2, "io.cost.qos")); err == nil {
		return k
	}
	k.file = "io.bfq.weight"
	if n, err := strconv.Atoi(k.limit); err == nil && n > maxBFQWeight {
		k.limit = number(maxBFQWeight)
	}
	return k
}

func (c *Cgroups) mount(k knob) string {
	if mount := c.v1[k.controller]; mount != "" {
		return mount
	}
	return c.v2
}

// makeCgroup makes the cgroup in each hierarchy where it gets a limit.
func (c *Cgroups) makeCgroup(cgroup string, knobs []knob) error {
	var enable []string
	for _, k := range knobs {
		if k.limit == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(c.mount(k), cgroup), 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if c.v1[k.controller] == "" && !slices.Contains(enable, k.controller) {
			enable = append(enable, k.controller)
		}
	}
	return c.enable(cgroup, enable)
}

// enable enables the controllers from the top of the v2 hierarchy down to the cgroup.
func (c *Cgroups) enable(cgroup string, controllers []string) error {
	dir := c.v2
	for _, below := range strings.Split(strings.Trim(cgroup, "/"), "/") {
		for _, controller := range controllers {
			if err := enableBelow(dir, controller); err != nil {
				return err
			}
		}
		dir = filepath.Join(dir, below)
	}
	return nil
}

// enableBelow enables the controller for the cgroups below dir.
func enableBelow(dir, controller string) error {
	path := filepath.Join(dir, "cgroup.subtree_control")
	on, err := os.ReadFile(path)
	if err == nil && slices.Contains(strings.Fields(string(on)), controller) {
		return nil
	}
	if err == nil {
		err = writeKnob(path, "+"+controller)
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return &hint.Error{
			Err:  fmt.Errorf("cgroup %s has processes of its own, so those below it can't be limited", dir),
			Hint: "give the groups a cgroup above which there are no processes: --cgroup-root",
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EINVAL):
		return &hint.Error{
			Err:  fmt.Errorf("cgroup %s has no controller %q: %w", dir, controller, err),
			Hint: "have the host enable it, or take what needs it out of the group's resources",
		}
	}
	return err
}

// explainLimit explains why the kernel refused a limit.
func explainLimit(k knob, cgroup string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(k.file, "weight"):
		return &hint.Error{Err: host.ErrNoIOWeight, Hint: host.NoIOWeightHint}
	case errors.Is(err, fs.ErrNotExist) && k.controller == "memory":
		return &hint.Error{Err: errors.New("this host's kernel can't limit swap"), Hint: "boot with swapaccount=1, or take swap out of the resources"}
	case errors.Is(err, unix.EBUSY) && k.controller == "memory":
		return &hint.Error{Err: fmt.Errorf("limit cgroup %s: more memory than that is in use, and can't be taken back", cgroup), Hint: "stop something of the group, or give it more"}
	}
	return fmt.Errorf("limit cgroup %s: %s: %w", cgroup, k.file, err)
}
