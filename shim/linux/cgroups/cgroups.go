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
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// Cgroups are the cgroups of a real host. Each controller is in one hierarchy: v2's, or on a hybrid host one of v1's. The
// group's cgroup has the same path in all of them.
type Cgroups struct {
	layout layout.Layout
	log    *slog.Logger
	v2     string            // where it is mounted
	v1     map[string]string // controller -> where its hierarchy is mounted
}

// New finds the hierarchies; it changes nothing. A nil log discards.
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

// Limited implements [runner.Cgroups].
func (h *Cgroups) Limited(_ context.Context, want *spec.Group) host.Presence {
	for _, k := range h.knobs(want.Resources) {
		content, err := os.ReadFile(k.path(h.mount(k), h.layout.GroupCgroup(want.Name)))
		switch {
		case errors.Is(err, fs.ErrNotExist) && k.limit == "":
		case errors.Is(err, fs.ErrNotExist):
			return host.Absent
		case err != nil:
			h.log.Warn("bounds could not be looked at", "group", want.Name, "error", err)
			return host.Unknown
		case !k.matches(string(content)):
			return host.Absent
		}
	}
	return host.Present
}

// Limit implements [runner.Cgroups].
func (h *Cgroups) Limit(_ context.Context, want *spec.Group) error {
	cgroup, knobs := h.layout.GroupCgroup(want.Name), h.knobs(want.Resources)
	if err := h.makeCgroup(cgroup, knobs); err != nil {
		return err
	}
	// v1 takes no bound on memory above that on memory and swap, nor the other way around: what was refused is asked again.
	var refused []knob
	for _, k := range knobs {
		if h.set(k, cgroup) != nil {
			refused = append(refused, k)
		}
	}
	for _, k := range refused {
		if err := h.set(k, cgroup); err != nil {
			return explainLimit(k, cgroup, err)
		}
	}
	return nil
}

// set writes a knob's file, unless what is to be in it is.
func (h *Cgroups) set(k knob, cgroup string) error {
	path := k.path(h.mount(k), cgroup)
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && k.limit == "" || err == nil && k.matches(string(content)) {
		return nil
	}
	if err != nil {
		return err
	}
	return writeKnob(path, k.value())
}

// writeKnob writes in one go and makes no file: below a cgroup there is what the kernel has.
func writeKnob(path, content string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Close())
}

// knobs are those of this host's hierarchies.
func (h *Cgroups) knobs(r spec.Resources) []knob {
	var out []knob
	for _, k := range knobsV1(r) {
		if h.v1[k.controller] != "" {
			out = append(out, k)
		}
	}
	for _, k := range knobsV2(r) {
		if !h.inV1(k.controller) {
			out = append(out, h.forScheduler(k))
		}
	}
	return out
}

func (h *Cgroups) inV1(controller string) bool {
	if controller == "io" {
		controller = "blkio"
	}
	return h.v1[controller] != ""
}

// forScheduler is the knob, or BFQ's where only that scheduler shares the disks.
func (h *Cgroups) forScheduler(k knob) knob {
	if k.controller != "io" {
		return k
	}
	if _, err := os.Stat(filepath.Join(h.v2, "io.cost.qos")); err == nil { // in the topmost cgroup alone
		return k
	}
	k.file = "io.bfq.weight"
	return k
}

func (h *Cgroups) mount(k knob) string {
	if mount := h.v1[k.controller]; mount != "" {
		return mount
	}
	return h.v2
}

// makeCgroup makes the cgroup wherever it is to have a bound.
func (h *Cgroups) makeCgroup(cgroup string, knobs []knob) error {
	var enable []string
	for _, k := range knobs {
		if k.limit == "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(h.mount(k), cgroup), 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		if h.v1[k.controller] == "" && !slices.Contains(enable, k.controller) {
			enable = append(enable, k.controller)
		}
	}
	return h.enable(cgroup, enable)
}

// enable has the controllers handed down from the top of the v2 hierarchy to the cgroup.
func (h *Cgroups) enable(cgroup string, controllers []string) error {
	dir := h.v2
	for _, below := range strings.Split(strings.Trim(cgroup, "/"), "/") {
		for _, c := range controllers {
			if err := enableBelow(dir, c); err != nil {
				return err
			}
		}
		dir = filepath.Join(dir, below)
	}
	return nil
}

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
			Err:  fmt.Errorf("cgroup %s has processes of its own, so those below it can't be bounded", dir),
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

// explain says what a refused bound means.
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
