package hosttest

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/spec"
)

// Report returns what the program of a container found when it began to run, with the paths of that
// layout. It fails for a program that has not run.
func (h *Host) Report(l layout.Layout, group, name string) (contract.Report, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.containers[spec.ID(group, name)]
	if c == nil || !c.started {
		return contract.Report{}, errors.New("its program has not run")
	}
	errs := l.LogPath(c.state.Group, c.state.Name)
	if c.output.Split {
		errs = l.ErrLogPath(c.state.Group, c.state.Name)
	}
	shown := map[string]contract.Folder{}
	if c.outputOf != "" {
		shown[c.outputOf] = contract.Folder{Path: filepath.Dir(errs), ReadOnly: true, Readable: true}
	}
	return contract.Report{
		Netns:        namespaceName(c.namespace),
		Cgroup:       l.CgroupPath(c.state.Group, c.state.Role, c.state.Name),
		Mounts:       maps.Clone(c.mounted),
		ReadOnly:     c.readOnly,
		Tmpfs:        slices.Clone(c.tmpfs),
		Output:       l.LogPath(c.state.Group, c.state.Name),
		Errors:       errs,
		GroupOutput:  shown,
		Capabilities: slices.Clone(c.capabilities),
		Filtered:     true,
		Devices:      maps.Clone(c.devices),
	}, nil
}

// Definition returns the definition that the containers of a group were last wanted from.
func (h *Host) Definition(group string) *spec.Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wanted[group]
}

// Namespace returns the name of the group's pinned namespace, as in reports. It is "" if there is
// none.
func (h *Host) Namespace(group string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := h.nets[group]; n != nil && n.pinned {
		return namespaceName(n.number)
	}
	return ""
}

func namespaceName(number int) string { return fmt.Sprintf("namespace %d", number) }
