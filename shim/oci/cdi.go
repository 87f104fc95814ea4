package oci

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/promise"
	"github.com/sallyport/sallyport/spec"
)

// A CDI has everything that a container is given by the CDI specs of its host.
type CDI struct {
	Devices []Device
	Mounts  []specs.Mount // of plain files, read-only, by path
	Env     []string      // NAME=VALUE
	// Libraries are folders in which programs look for libraries, after those that the container's
	// environment has.
	Libraries []string
	Groups    []uint32 // of the user, beside its own
	Left      []string // a line for each thing that the specs name and the container doesn't get
}

// A FileKind is the kind of a file on the host.
type FileKind int

const (
	NoFile    FileKind = iota // there is none
	PlainFile                 // a program, a library, data
	Socket
	OtherFile // a folder, a device, a pipe
)

// A CDIHost reads what CDI specs name on the host.
type CDIHost struct {
	// Look returns what a path leads to, without its links.
	Look func(path string) (real string, kind FileKind)
	// Soname returns the name by which programs ask for a library, or "".
	Soname func(path string) string
}

// ReadCDI returns what a container is given by the edits of its CDI devices, as they were made to
// an empty OCI spec. It is a [hint.Error] if they ask for what no container of a group gets. What
// the kernel has at the numbers of the devices is left to the caller.
//
// No hook runs: it would be a program of the host's root that acts in a file system that the
// container's image made. The effects of the known ones are had by mounts instead.
func ReadCDI(c spec.Container, edits *specs.Spec, h CDIHost) (CDI, error) {
	r := cdiReader{container: c, host: h, sources: map[string]string{}}
	r.refuseOthers(edits)
	r.devices(edits)
	for _, m := range edits.Mounts {
		r.mount(m)
	}
	if edits.Process != nil {
		r.given.Env = slices.Clone(edits.Process.Env)
		r.given.Groups = slices.Clone(edits.Process.User.AdditionalGids)
	}
	r.hooks(edits.Hooks)
	if r.err != nil {
		return CDI{}, r.err
	}
	for _, to := range r.order {
		m := bind(r.sources[to], to, "ro")
		r.given.Mounts = append(r.given.Mounts, m)
	}
	slices.SortFunc(r.given.Mounts, func(a, b specs.Mount) int { return cmp.Compare(a.Destination, b.Destination) })
	return r.given, nil
}

type cdiReader struct {
	container spec.Container
	host      CDIHost
	given     CDI
	sources   map[string]string // by the path in the container
	order     []string          // of the paths
	err       error             // the first one
}

func (r *cdiReader) refuse(what, why string) {
	if r.err == nil {
		r.err = &hint.Error{
			Err:  fmt.Errorf("container %q: its CDI devices ask for %s: %s", r.container.Name, hint.Excerpt(what, hint.Short), why),
			Hint: "take that out of the CDI spec, or name other devices in cdi",
		}
	}
}

func (r *cdiReader) leave(what, why string) {
	r.given.Left = append(r.given.Left, "CDI: left out: "+hint.Excerpt(what, hint.Short)+": "+why)
}

func (r *cdiReader) refuseOthers(edits *specs.Spec) {
	l := edits.Linux
	if l == nil {
		return
	}
	for name := range l.NetDevices {
		r.refuse("the host's interface "+name, spec.DeviceReason("network"))
	}
	if l.IntelRdt != nil {
		r.refuse("a class of the processor's caches (intelRdt)", "It acts on what the host's processes share.")
	}
}

// devices takes the nodes, each with the access that the specs give to its number.
func (r *cdiReader) devices(edits *specs.Spec) {
	if edits.Linux == nil {
		return
	}
	for _, d := range edits.Linux.Devices {
		to := path.Clean(d.Path)
		if why := spec.DeviceTarget(to); why != "" {
			r.refuse("the device "+d.Path, why)
			continue
		}
		access := r.access(edits, d)
		if access == "" {
			r.leave("device "+to, "the CDI spec gives no access to it")
			continue
		}
		r.given.Devices = append(r.given.Devices, Device{
			Device: spec.Device{Path: to, Access: access}, Node: to,
			Kernel: promise.KernelDevice{Type: d.Type, Major: d.Major, Minor: d.Minor},
			Owned:  specs.LinuxDevice{FileMode: d.FileMode, UID: d.UID, GID: d.GID},
		})
	}
}

// access returns r, w or rw: making nodes is none that a container has.
func (r *cdiReader) access(edits *specs.Spec, d specs.LinuxDevice) string {
	if edits.Linux.Resources == nil {
		return ""
	}
	for _, rule := range edits.Linux.Resources.Devices {
		same := rule.Allow && rule.Type == d.Type && rule.Major != nil && *rule.Major == d.Major && rule.Minor != nil && *rule.Minor == d.Minor
		if !same {
			continue
		}
		access := ""
		for _, letter := range []string{"r", "w"} {
			if strings.Contains(rule.Access, letter) {
				access += letter
			}
		}
		return access
	}
	return ""
}

// mount takes a file of the host. All mounts are read-only.
func (r *cdiReader) mount(m specs.Mount) {
	to, what := path.Clean(m.Destination), "the file "+m.Source
	real, kind := r.host.Look(m.Source)
	switch {
	case !path.IsAbs(m.Source) || m.Type != "" && m.Type != "bind" && !slices.Contains(m.Options, "bind") && !slices.Contains(m.Options, "rbind"):
		r.refuse(what, "It is no file of the host.")
	case spec.WayOut(m.Source) != "" || spec.WayOut(real) != "":
		r.refuse(what, cmp.Or(spec.WayOut(m.Source), spec.WayOut(real)))
	case kind == NoFile:
		r.refuse(what, "This host doesn't have it. The CDI spec may be older than the driver.")
	case kind == Socket:
		r.leave(m.Source, "a socket of the host, whose owner acts outside of the group")
	case kind != PlainFile:
		r.refuse(what, "It is a folder or no plain file. Sockets may be in a folder, so a CDI spec mounts files.")
	default:
		r.place(real, to, what)
	}
}

// place mounts a file at a path of the container.
func (r *cdiReader) place(source, to, what string) {
	covered := func(at string) bool { return at == to || strings.HasPrefix(to, at+"/") }
	switch {
	case !path.IsAbs(to) || to == "/" || slices.ContainsFunc([]string{"/proc", "/sys", "/dev"}, covered):
		r.refuse(what, "It is to be placed at "+to+", where nothing is placed.")
	case slices.ContainsFunc(spec.GeneratedFiles(), covered) || slices.ContainsFunc(r.container.Files, func(f spec.File) bool { return covered(f.Path) }):
		r.refuse(what, "It is to be placed at "+to+", where the group has a file of its own.")
	default:
		if r.sources[to] == "" {
			r.order = append(r.order, to)
		}
		r.sources[to] = source
	}
}

// hooks does by mounts what the known hooks do, and refuses the others.
func (r *cdiReader) hooks(all *specs.Hooks) {
	if all == nil {
		return
	}
	others := map[string][]specs.Hook{
		//lint:ignore SA1019 a CDI spec may have one all the same
		"prestart": all.Prestart, "createRuntime": all.CreateRuntime, "startContainer": all.StartContainer, "poststart": all.Poststart, "poststop": all.Poststop,
	}
	for when, hooks := range others {
		for _, hook := range hooks {
			r.refuse("the hook "+hook.Path, "A hook ("+when+") is a program that runs outside of the container.")
		}
	}
	var links, folders []string
	for _, hook := range all.CreateContainer {
		name, values := knownHook(hook)
		switch name {
		case "create-symlinks":
			links = append(links, values["link"]...)
		case "update-ldcache":
			folders = append(folders, values["folder"]...)
		case "chmod", "disable-device-node-modification": // folders of nodes can be read by all, and no container makes nodes
		case "enable-cuda-compat":
			r.leave("the hook "+name, "the libraries of the host's driver are used")
		default:
			r.refuse("the hook "+strings.Join(append([]string{hook.Path}, hook.Args[min(1, len(hook.Args)):]...), " "), "A hook is a program that runs outside of the container. What is known of it would be done without it, and this one is not known.")
		}
	}
	r.libraries(folders)
	r.links(links)
}

// knownHook returns the name of a hook of NVIDIA's toolkit, and the values of its flags. The name
// is empty for other programs.
func knownHook(h specs.Hook) (name string, values map[string][]string) {
	program := path.Base(h.Path)
	if len(h.Args) < 2 || program != "nvidia-ctk" && program != "nvidia-cdi-hook" {
		return "", nil
	}
	args := h.Args[1:]
	if program == "nvidia-ctk" {
		if args[0] != "hook" || len(args) < 2 {
			return "", nil
		}
		args = args[1:]
	}
	values = map[string][]string{}
	for i := 1; i < len(args); i++ {
		flag, value, ok := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !ok && i+1 < len(args) {
			i++
			value = args[i]
		}
		values[flag] = append(values[flag], value)
	}
	return args[0], values
}

// libraries mounts each library in the folders at the name by which programs ask for it too, and
// adds the folders to those in which libraries are looked for.
func (r *cdiReader) libraries(folders []string) {
	if len(folders) == 0 {
		return
	}
	for i := range folders {
		folders[i] = path.Clean(folders[i])
	}
	slices.Sort(folders)
	folders = slices.Compact(folders)
	for _, to := range slices.Clone(r.order) {
		if !slices.Contains(folders, path.Dir(to)) || !strings.Contains(path.Base(to), ".so") {
			continue
		}
		name := r.host.Soname(r.sources[to])
		if at := path.Join(path.Dir(to), name); name != "" && !strings.Contains(name, "/") && r.sources[at] == "" {
			r.place(r.sources[to], at, "the file "+r.sources[to])
		}
	}
	r.given.Libraries = folders
}

// links mounts at the place of each link what it leads to. A link is TARGET::PATH. One may lead to
// another one.
func (r *cdiReader) links(all []string) {
	for range all { // as deep as links can be
		var rest []string
		for _, link := range all {
			target, at, ok := strings.Cut(link, "::")
			at = path.Clean(at)
			if !ok {
				r.refuse("the link "+link, "It is none.")
				continue
			}
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(at), target)
			}
			source := r.sources[path.Clean(target)]
			switch {
			case source == "":
				rest = append(rest, link)
			case r.sources[at] == "":
				r.place(source, at, "the link "+at)
			}
		}
		if len(rest) == len(all) {
			break
		}
		all = rest
	}
	for _, link := range all {
		r.leave("the link "+link, "its target is not among the files")
	}
}

// withLibraries adds folders to those in which a program looks for libraries.
func withLibraries(env, folders []string) []string {
	if len(folders) == 0 {
		return env
	}
	const name = "LD_LIBRARY_PATH="
	all := strings.Join(folders, ":")
	at := slices.IndexFunc(env, func(e string) bool { return strings.HasPrefix(e, name) })
	switch {
	case at < 0:
		return append(env, name+all)
	case env[at] != name: // an empty part would be the working folder
		all = ":" + all
	}
	env[at] += all
	return env
}
