package ctrd

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/secrets"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// startedFile is written when a container's program is started. Its time is the time of the start.
const startedFile = ".started"

// createFiles lists the files that are placed into a container: those for names and resolvers, and
// the group file's own. Where both have the same path, the group file's wins.
func createFiles(g *spec.Group, c spec.Container, resolvers []byte) []spec.File {
	generated := []spec.File{
		{Path: "/etc/hostname", Content: []byte(g.Name + "\n")},
		{Path: "/etc/hosts", Content: hostsFile(g, c.Role)},
		{Path: "/etc/resolv.conf", Content: resolvFile(g, c.Role, resolvers)},
	}
	var files []spec.File
	for _, g := range generated {
		if !has(c.Files, g.Path) {
			files = append(files, g)
		}
	}
	return append(files, c.Files...)
}

// placedFiles lists all files of the host that are placed into a container.
func placedFiles(g *spec.Group, c spec.Container, resolvers []byte) ([]spec.File, error) {
	files := createFiles(g, c, resolvers)
	zone, ok, err := zoneOf(c)
	if ok && !has(files, zone.Path) {
		files = append([]spec.File{zone}, files...)
	}
	return files, err
}

// hostsFile has the names of the group's loopback. A member also finds the upstreams there. The
// ambassador doesn't: for it their names mean what they mean in the world. Each name has a line of
// its own, because musl reads no more than 512 bytes of a line.
func hostsFile(g *spec.Group, role spec.Role) []byte {
	hosts := []byte("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	if g.Name != "localhost" {
		hosts = fmt.Appendf(hosts, "127.0.0.1\t%s\n", g.Name)
	}
	if role == spec.Ambassador {
		return hosts
	}
	for _, name := range g.UpstreamNames() {
		if name != g.Name && name != "localhost" {
			hosts = fmt.Appendf(hosts, "127.0.0.1\t%s\n", name)
		}
	}
	return hosts
}

// resolvFile has the servers that a container asks for names. The ambassador asks the group's
// servers, or else the host's resolvers. A member asks the ambassador, or none.
func resolvFile(g *spec.Group, role spec.Role, resolvers []byte) []byte {
	switch {
	case role != spec.Ambassador && g.DNS == spec.DNSAmbassador:
		return []byte("nameserver 127.0.0.1\n")
	case role != spec.Ambassador:
		return nil
	case len(g.Network.Servers) > 0:
		var servers []byte
		for _, s := range g.Network.Servers {
			servers = fmt.Appendf(servers, "nameserver %s\n", s)
		}
		return servers
	default:
		return resolvers
	}
}

func has(files []spec.File, path string) bool {
	for _, f := range files {
		if filepath.Clean(f.Path) == path {
			return true
		}
	}
	return false
}

// placeFiles returns the place of each file below dir, or below secret if it has secrets in it. Its
// name is the file's position in the list.
func placeFiles(dir, secret string, files []spec.File) []oci.File {
	var placed []oci.File
	for i, f := range files {
		folder := dir
		if len(f.Secrets) > 0 {
			folder = secret
		}
		placed = append(placed, oci.File{Source: filepath.Join(folder, strconv.Itoa(i)), Path: f.Path})
	}
	return placed
}

// writeFiles writes the files where placeFiles places them, in a new folder. Nothing reads them
// before the container has a task, which it gets after all of them are written.
func writeFiles(dir, secret string, files []spec.File, owners fileOwners) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("old files of the container: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder for the container's files: %w", err)
	}
	for i, place := range placeFiles(dir, secret, files) {
		if err := placeFile(place.Source, files[i], owners); err != nil {
			return err
		}
	}
	return nil
}

// placeFile writes a placed file to the host. Its content has the values of its secrets.
func placeFile(name string, f spec.File, owners fileOwners) error {
	if err := os.WriteFile(name, f.Content, 0o600); err != nil {
		return fmt.Errorf("file %s: %w", f.Path, err)
	}
	if id, ok := owners[f.Path]; ok {
		if err := os.Chown(name, int(id[0]), int(id[1])); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
	}
	if err := os.Chmod(name, os.FileMode(f.Permissions()).Perm()); err != nil { // not subject to the umask
		return fmt.Errorf("file %s: %w", f.Path, err)
	}
	return nil
}

// modesFolder returns the place of a container's [oci.Modes] in the folder of its files.
func modesFolder(dir string) oci.Modes { return oci.Modes(filepath.Join(dir, "modes")) }

// makeModes makes what a container's tmpfs mounts cover, in the folder of its files.
func makeModes(dir string, mounts []spec.Tmpfs) error {
	for _, t := range mounts {
		_, _, mode, err := t.Ownership()
		if err != nil {
			return err
		}
		folder := modesFolder(dir).Folder(mode)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return fmt.Errorf("folder below tmpfs %s: %w", t.Path, err)
		}
		if err := unix.Chmod(folder, mode); err != nil { // os.Chmod has another form of the sticky bit
			return fmt.Errorf("folder below tmpfs %s: %w", t.Path, err)
		}
	}
	return nil
}

// removeFiles removes a container's files, and the group's folder with the last of them.
func removeFiles(l layout.Layout, group, container string) error {
	dir := l.FilesPath(group, container)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("files of %s: %w", spec.ID(group, container), err)
	}
	if err := secrets.Forget(l, group, container); err != nil {
		return err
	}
	_ = os.Remove(filepath.Dir(dir)) // it is not empty if other containers of the group have files
	return nil
}

// markStarted records when a container's program was started. containerd doesn't.
func markStarted(l layout.Layout, group, container string) error {
	return os.WriteFile(filepath.Join(l.FilesPath(group, container), startedFile), nil, 0o600)
}

// startedAt returns the time that markStarted recorded. The zero time means that there is none.
func startedAt(l layout.Layout, group, container string) time.Time {
	info, err := os.Stat(filepath.Join(l.FilesPath(group, container), startedFile))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
