package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// maxReloads limits how many files of one container have a Reload. The digests of all of them are
// in one label of containerd's, which has at most 4096 bytes.
const maxReloads = 64

// sumLength is how many digits of a checksum tell the contents of a file apart.
const sumLength = 16

// reloadSignals are those that a program can handle, without those that report a fault of its own
// and those of job control that stop it.
var reloadSignals = []string{
	"SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGTERM", "SIGCONT", "SIGURG", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR",
}

// reload reads the signal that is sent to a container's program when the contents of a file have
// changed. It returns "" for a file whose change replaces the container. c has the role, the stop
// and the mounts.
func (d *groupDecoder) reload(r reader, c *Container, p string) string {
	s, at, ok := r.text("reload", optional)
	if !ok {
		return ""
	}
	name := signalName(s, reloadSignals)
	stop := cmp.Or(c.Stop.Signal, "SIGTERM")
	switch bare := strings.TrimPrefix(strings.ToUpper(s), "SIG"); {
	case c.Role == Init:
		d.errorf(at, "An init is not reloaded", "An init runs to its end before the apps start, and has no use for a file that changes later. Leave reload out.")
		return ""
	case bare == "KILL" || bare == "STOP":
		d.errorf(at, "Invalid signal", "No program can handle SIG%s, so none reads a file again because of it. Write the one that the program's manual names, such as \"SIGHUP\".", bare)
		return ""
	case name == "":
		d.errorf(at, "Invalid signal", "%s is no signal for a reload.%s Write one that the program handles, such as \"SIGHUP\", \"SIGUSR2\" or \"SIGRTMIN+3\".", quote(s), DidYouMean(s, reloadSignals))
		return ""
	case name == stop:
		d.errorf(at, "The signal that stops the container", "%s asks this container to end, so it can't ask it to read a file again. Write another one, or change the signal of the stop block.", name)
		return ""
	}
	for _, m := range c.Mounts {
		if m.Path != "" && p != "" && within(p, m.Path) {
			d.errorf(at, "A file inside a volume", "%s is inside the volume %s. Others that have the volume could move what is there, so its contents can't be changed while the container runs. Choose a path outside of %s, or leave reload out.", quote(p), quote(m.Volume), quote(m.Path))
			return ""
		}
	}
	return name
}

// checkReloads reports a container with too many files that have a Reload.
func (d *groupDecoder) checkReloads(blocks []*hclsyntax.Block) {
	n := 0
	for _, b := range blocks {
		attr := b.Body.Attributes["reload"]
		if attr == nil {
			continue
		}
		if n++; n > maxReloads {
			d.errorf(attr.SrcRange, "Too many files to reload", "At most %d files of a container have a reload. Leave it out here, and the container is replaced when this file changes.", maxReloads)
			return
		}
	}
}

// anyReload stands for every signal in the digest of a container: a running one takes another.
const anyReload = "any"

// fixedFiles returns the files as they are in the digest of a container.
func fixedFiles(files []File) []File {
	fixed := slices.Clone(files)
	for i := range fixed {
		if f := &fixed[i]; f.Reload != "" {
			f.Content, f.Sum, f.Reload = nil, "", anyReload
		}
	}
	return fixed
}

// Seal fills in the Sum.
func (f *File) Seal() {
	if f.Sum = ""; f.Reload != "" {
		sum := sha256.Sum256(f.Content)
		f.Sum = hex.EncodeToString(sum[:])[:sumLength]
	}
}

// Interrupted takes the place of a checksum in what [Container.Loaded] returns, for a file whose
// contents are being changed. No file has it.
const Interrupted = "-"

// Loaded returns which contents a program has once it has read all its files with a Reload: the Sum
// of each, in the order of Files, with commas between them. It is empty without such files. It
// compares with that of another definition only if the Digest is the same.
func (c *Container) Loaded() string { return c.loading(nil) }

// Loading is Loaded with [Interrupted] for each of the files that is to change. loaded is from
// before.
func (c *Container) Loading(loaded string) string { return c.loading(c.NotLoaded(loaded)) }

func (c *Container) loading(changing []File) string {
	var sums []string
	for _, f := range c.Files {
		switch {
		case f.Reload == "":
		case slices.ContainsFunc(changing, func(o File) bool { return o.Path == f.Path }):
			sums = append(sums, Interrupted)
		default:
			sums = append(sums, f.Sum)
		}
	}
	return strings.Join(sums, ",")
}

// NotLoaded returns the files with a Reload whose contents a program doesn't have. loaded has those
// that it has, by an earlier [Container.Loaded].
func (c *Container) NotLoaded(loaded string) []File {
	has := strings.Split(loaded, ",")
	var out []File
	n := 0
	for _, f := range c.Files {
		if f.Reload == "" {
			continue
		}
		if n >= len(has) || has[n] != f.Sum {
			out = append(out, f)
		}
		n++
	}
	return out
}

// ReloadSignals returns the signals of some files, sorted, each once.
func ReloadSignals(files []File) []string {
	var signals []string
	for _, f := range files {
		signals = append(signals, f.Reload)
	}
	slices.Sort(signals)
	return slices.Compact(signals)
}
