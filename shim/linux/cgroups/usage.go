package cgroups

import (
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/netns/kernfile"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// Usage returns what a container uses now. It reads six files, and no file of a cgroup can hang.
// The time of processors is that of the container's own cgroup, which outlives restarts. The rest
// is of the cgroup below it, which the runtime makes, and which has the container's limits.
func (c *Cgroups) Usage(group string, role spec.Role, container string) (u host.CgroupUsage) {
	own, leaf := c.layout.ContainerCgroup(group, role, container), c.layout.CgroupPath(group, role, container)
	ofTask := func(mount, file string) string {
		if text := read(mount, leaf, file); text != "" {
			return text
		}
		return read(mount, own, file) // no task, or one of an older daemon
	}
	if mount := c.v1["cpuacct"]; mount != "" {
		u.CPU = duration(read(mount, own, "cpuacct.usage"), time.Nanosecond)
	} else {
		u.CPU = duration(field(read(c.v2, own, "cpu.stat"), "usage_usec"), time.Microsecond)
	}
	u.Threads = count(ofTask(c.mount(knob{controller: "pids"}), "pids.current"))
	if mount := c.v1["memory"]; mount != "" {
		u.Memory = count(ofTask(mount, "memory.usage_in_bytes"))
		u.WorkingSet = without(u.Memory, count(field(ofTask(mount, "memory.stat"), "total_inactive_file")))
		if u.MemoryLimit = count(ofTask(mount, "memory.limit_in_bytes")); u.MemoryLimit != nil && *u.MemoryLimit >= unlimitedV1 {
			u.MemoryLimit = nil
		}
		u.OOMKills = count(field(ofTask(mount, "memory.oom_control"), "oom_kill")) // has none of the cgroups below
		return u
	}
	u.Memory = count(ofTask(c.v2, "memory.current"))
	u.WorkingSet = without(u.Memory, count(field(ofTask(c.v2, "memory.stat"), "inactive_file")))
	u.MemoryLimit = count(ofTask(c.v2, "memory.max")) // "max" is no number
	u.OOMKills = count(field(read(c.v2, own, "memory.events"), "oom_kill"))
	return u
}

// read returns the content of a cgroup's file, or "" if it can't be read.
func read(mount, cgroup, file string) string {
	content, _ := kernfile.Read(filepath.Join(mount, cgroup, file))
	return string(content)
}

// field returns the value of a line "name value", or "".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return value
		}
	}
	return ""
}

// count returns a number, or nil.
func count(text string) *uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

// duration returns a number of units, or nil.
func duration(text string, unit time.Duration) *time.Duration {
	n := count(text)
	if n == nil {
		return nil
	}
	d := time.Duration(*n) * unit
	return &d
}

// without returns all but a part. The two were read one after the other, so the part may be larger.
func without(all, part *uint64) *uint64 {
	if all == nil || part == nil {
		return nil
	}
	rest := *all - min(*all, *part)
	return &rest
}
