package spec

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// hostRuns are folders whose files the host, or a container outside the group, runs, obeys or follows: who writes there has
// processes where no rule of the group's is.
var hostRuns = []string{
	"/bin", "/boot", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/root", "/run/udev", "/sbin", "/usr",
	"/var/lib/containerd", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet", "/var/lib/rancher", "/var/lib/systemd", "/var/log/sallyport", "/var/spool/cron",
}

// HostPathRefused says why a folder of the host can't be mounted into a container of a group; "" for one that can. A group file
// is judged by the path it names, so ask again with the path that its links lead to on the host.
func HostPathRefused(host string, readOnly bool) string {
	if why := wayOut(host); why != "" || readOnly {
		return why
	}
	host = path.Clean(host)
	for _, dir := range hostRuns {
		if within(host, dir) || within(dir, host) {
			return "Who writes to the host's " + dir + " decides what runs outside the group, where none of its rules are. Mount it with read_only = true, or name a folder that holds nothing but the group's data."
		}
	}
	return ""
}

// hostPath reads the folder of the host that is a volume. Whether it exists is for the host to say.
func (d *groupDecoder) hostPath(r reader) string {
	p, at, ok := r.text("host_path", optional)
	switch {
	case !ok:
		return ""
	case !path.IsAbs(p):
		hint := ""
		if strings.HasPrefix(p, "~") {
			hint = " There is no home in it: the daemon has another one than you."
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

// checkWritable reports a mount by which a container could change what the host runs.
func (d *groupDecoder) checkWritable(m Mount, at hcl.Range) {
	if host, ok := d.hostPaths[m.Volume]; ok {
		if why := HostPathRefused(host, m.ReadOnly); why != "" {
			d.errorf(at, "Not allowed in a group", "%s", why)
		}
	}
}
