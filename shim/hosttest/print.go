package hosttest

import (
	"fmt"
	"sort"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
)

// String returns the host in an operator's words: a line for each thing that it has, sorted.
func (h *Host) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var lines []string
	for group, n := range h.nets {
		lines = append(lines, n.lines(group)...)
	}
	for group, vols := range h.volumes {
		for _, v := range vols {
			lines = append(lines, v.line(group))
		}
	}
	for group, r := range h.limits {
		lines = append(lines, limitsLine(group, r))
	}
	for id, c := range h.containers {
		lines = append(lines, c.line(id))
	}
	sort.Strings(lines)
	return strings.Join(append(lines, ""), "\n")
}

// lines returns a group's namespace and link as lines of [Host.String].
func (n *network) lines(group string) []string {
	var lines []string
	switch {
	case n.pinned && n.sealed && n.policy != "":
		lines = append(lines, "namespace "+group+": "+n.policy)
	case n.pinned && n.sealed:
		lines = append(lines, "namespace "+group+": everything denied")
	case n.pinned:
		lines = append(lines, "namespace "+group+": open")
	}
	if n.link != "" {
		lines = append(lines, "link "+group+": "+n.link)
	}
	return lines
}

// line returns the container as a line of [Host.String].
func (c *container) line(id string) string {
	s := c.state
	line := fmt.Sprintf("container %s (%s) %s, from %s of %s", id, s.Role, s.Task, short(s.Digest), short(s.ImageDigest))
	if s.Task == host.TaskStopped {
		line += fmt.Sprintf(", status %d", s.ExitStatus)
	}
	return line
}

func short(digest string) string { return digest[:min(len(digest), 16)] }
