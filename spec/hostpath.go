package spec

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// hostRuns are folders whose files the host, or a container outside the group, runs, obeys or
// follows. A container that writes there gets processes outside the group, where none of its rules
// hold.
var hostRuns = []string{
	"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/root", "/run/udev", "/sbin", "/usr",
	"/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/rancher", "/var/lib/systemd", "/var/log/sallyport", "/var/spool/cron",
}

// HostPathRefused returns why a folder of the host can't be mounted into a container of a group. It
// returns "" for a folder that can be mounted. Parse asks for the path in the group file, so a
// caller on the host has to ask again for the path to which its links lead.
func HostPathRefused(host string, readOnly bool) string {
	if why := wayOut(host); why != "" || readOnly {
		return why
	}
	host = path.Clean(host)
	for _, dir := range hostRuns {
		if within(host, dir) || within(dir, host) {
			return "A container that writes to the host's " + dir + " decides what runs outside the group, where its rules don't hold. Mount it with read_only = true, or name a folder that holds nothing but the group's data."
		}
	}
	return ""
}

// hostPath reads the path of a volume that is a folder of the host. Only the host can check that it
// exists.
func (d *groupDecoder) hostPath(r reader) string {
	p, at, ok := r.text("host_path", optional)
	switch {
	case !ok:
		return ""
	case !path.IsAbs(p):
		hint := ""
		if strings.HasPrefix(p, "~") {
			hint = " A ~ is not replaced: the daemon's home is not yours."
		}
		d.errorf(at, "Relative path", "\"host_path\" is an absolute path of the host, and %s does not begin with a slash.%s", quote(p), hint)
		return ""
	}
	p = path.Clean(p)
	if why := wayOut(p); why != "" {
		d.errorf(at, "Not allowed in a group", "%s", why)
		return ""
	}
	return p
}

// checkWritable reports a mount through which a container could change the programs and settings of
// the host.
func (d *groupDecoder) checkWritable(m Mount, at hcl.Range) {
	if host, ok := d.hostPaths[m.Volume]; ok {
		if why := HostPathRefused(host, m.ReadOnly); why != "" {
			d.errorf(at, "Not allowed in a group", "%s", why)
		}
	}
}
