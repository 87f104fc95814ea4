package spec

import (
	"path"
	"strings"
)

// controlSockets are sockets whose owner executes requests as root and outside the group.
var controlSockets = []struct{ path, owner string }{
	{"/run/containerd", "containerd"},
	{"/run/k3s/containerd", "containerd"},
	{"/run/docker.sock", "docker"},
	{"/run/docker", "docker"},
	{"/run/podman", "podman"},
	{"/run/crio", "CRI-O"},
	{"/run/systemd", "systemd"},
	{"/run/dbus", "D-Bus"},
	{"/run/user", "the users' systemd and D-Bus"},
	{"/run/sallyport", "Sallyport"},
	{"/var/lib/sallyport", "Sallyport"},
	{"/run/buildkit", "BuildKit"},
	{"/run/libvirt", "libvirt"},
	{"/run/incus", "Incus"},
	{"/var/lib/incus", "Incus"},
	{"/var/lib/lxd", "LXD"},
	{"/var/snap/lxd", "LXD"},
	{"/var/snap/microk8s", "MicroK8s"},
}

// wayOut returns why a path of the host can't be mounted into any container of a group. It returns
// "" for a path without a way out.
func wayOut(host string) string {
	if !path.IsAbs(host) {
		return ""
	}
	host = path.Clean(host)
	real := host
	if host == "/var/run" || strings.HasPrefix(host, "/var/run/") {
		real = strings.TrimPrefix(host, "/var")
	}
	for _, s := range controlSockets {
		if within(real, s.path) || within(s.path, real) {
			return "Through " + quote(host) + " a container would reach the control socket of " + s.owner + ". A process that talks to it can start processes outside the group. No container of a group gets it."
		}
	}
	for _, kernel := range []string{"/dev", "/proc", "/sys"} {
		if within(real, kernel) {
			return "The host's " + kernel + " holds devices and settings that are ways around the group's rules (tun, vhost, the cgroup tree, /proc/sys). No container of a group gets them."
		}
	}
	return ""
}

// within reports whether p is dir or below it. Both are clean and absolute.
func within(p, dir string) bool {
	return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/")
}
