package crash

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// ballast is the file that leaves no space on the disk of the state.
const ballast = "ballast"

func (o *orders) fillBytes() {
	o.T.Helper()
	o.note("fill the disk")
	f, err := os.OpenFile(filepath.Join(o.Root, "state", ballast), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if errors.Is(err, unix.ENOSPC) {
		return // there is no free inode: full is full
	}
	if err != nil {
		o.T.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, unix.ENOSPC) {
			o.T.Fatal(err)
		}
	}
}

func (o *orders) fillInodes() {
	o.T.Helper()
	o.note("use up the inodes of the disk")
	dir := filepath.Join(o.Root, "state", ballast+".d")
	err := os.Mkdir(dir, 0o700)
	for n := 0; err == nil || errors.Is(err, fs.ErrExist); n++ {
		err = unix.Mknod(filepath.Join(dir, strconv.Itoa(n)), unix.S_IFREG|0o600, 0)
	}
	if !errors.Is(err, unix.ENOSPC) {
		o.T.Fatal(err)
	}
}

func (o *orders) free() {
	o.note("free the disk")
	for _, path := range []string{ballast, ballast + ".d"} {
		if err := os.RemoveAll(filepath.Join(o.Root, "state", path)); err != nil {
			o.T.Error(err)
		}
	}
}

// damageNames list the damage that a disk, or a hand, does to a file.
var damageNames = []string{"remove", "empty", "cut", "garble", "replace by a folder", "write as a later version does"}

// damage damages the nth file of the daemon's state. containerd's own files are not touched.
func (o *orders) damage(kind string, nth int) {
	o.T.Helper()
	state := filepath.Join(o.Root, "state")
	var files []string
	filepath.WalkDir(state, func(path string, d fs.DirEntry, err error) error {
		switch name := filepath.Base(path); {
		case err != nil:
		case d.IsDir() && slices.Contains([]string{"containerd", "groups.d", "volumes", ballast + ".d"}, name):
			return fs.SkipDir
		case d.Type().IsRegular() && name != ballast && (strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl")):
			files = append(files, path)
		}
		return nil
	})
	if len(files) == 0 {
		return
	}
	path := files[nth%len(files)]
	content, err := os.ReadFile(path)
	if err == nil {
		err = damageFile(kind, path, content)
	}
	name, _ := filepath.Rel(state, path)
	o.note("%s %s: %v", kind, name, err)
	if err == nil || !errors.Is(err, unix.ENOSPC) {
		o.damaged = append(o.damaged, name)
	}
}

func damageFile(kind, path string, content []byte) error {
	switch kind {
	case "remove":
		return os.Remove(path)
	case "empty":
		return os.Truncate(path, 0)
	case "cut":
		return os.Truncate(path, int64(len(content)/2))
	case "garble":
		return os.WriteFile(path, []byte("\xff\x00{]"), 0o600)
	case "replace by a folder":
		return errors.Join(os.Remove(path), os.Mkdir(path, 0o700))
	}
	var fields map[string]any
	if json.Unmarshal(content, &fields) != nil {
		return nil // a list, or lines: its elements would be newer
	}
	fields["version"], fields["color"] = 9, "blue"
	content, err := json.Marshal(fields)
	return errors.Join(err, os.WriteFile(path, content, 0o600))
}

// look returns what a command can change: the group files, and the generation and the processes of
// each group.
func (o *orders) look() map[string]string {
	o.T.Helper()
	seen := map[string]string{}
	entries, err := os.ReadDir(o.Groups)
	if err != nil {
		o.T.Fatal(err)
	}
	for _, e := range entries {
		if text, err := os.ReadFile(filepath.Join(o.Groups, e.Name())); strings.HasSuffix(e.Name(), ".hcl") {
			seen["file "+e.Name()] = fmt.Sprint(string(text), err)
		}
	}
	for _, g := range o.PS() {
		seen["generation of "+g.Name] = strconv.Itoa(g.Generation)
		for _, c := range g.Containers {
			seen["process of "+g.Name+"."+c.Name] = strconv.Itoa(int(c.PID))
		}
	}
	return seen
}

// passOverRetries takes processes out of after that the daemon has started by itself meanwhile:
// those of groups that an operator wants to run, and that could not be created before.
func (o *orders) passOverRetries(before, after map[string]string) {
	for file, w := range o.wishes {
		for _, group := range orderFiles[file] {
			for what := range after {
				if strings.HasPrefix(what, "process of "+group+".") && !w.stopped[group] && before[what] == "0" {
					after[what] = "0"
				}
			}
		}
	}
}

// check waits until the world equals the wishes. After damage an operator may have to do what is
// reported, but a group that was stopped is stopped.
func (o *orders) check() {
	o.T.Helper()
	err := machine.Retry(2*time.Minute, o.differs)
	if err == nil {
		return
	}
	if len(o.damaged) == 0 {
		o.T.Errorf("the world is not as the accepted commands made it: %v\n%s", err, o.All("ps"))
		return
	}
	told := o.All("ps") + o.All("doctor")
	o.note("after damage to %v: %v\n%s", o.damaged, err, told)
	for file, w := range o.wishes {
		for group := range w.stopped {
			if n := len(o.Pids(group)); n > 0 {
				o.T.Errorf("group %s of %s was stopped by an operator, and runs after damage to %v", group, file, o.damaged)
			}
		}
	}
	if !strings.Contains(told, "error: ") && !strings.Contains(told, "warning: ") && !strings.Contains(told, "FAIL") {
		o.T.Errorf("nothing reports the damage to %v, but %v", o.damaged, err)
	}
	if o.mend(); o.T.Failed() {
		return
	}
	if err := machine.Retry(2*time.Minute, o.differs); err != nil {
		o.T.Errorf("after damage, and after another apply: %v\n%s", err, o.All("ps"))
	}
}

// mend asks for every wish once more.
func (o *orders) mend() {
	o.T.Helper()
	for file := range orderFiles {
		w := o.wishes[file]
		if w == nil {
			if _, err := os.Stat(filepath.Join(o.Groups, file+".hcl")); err == nil {
				o.Try("rm", file+".hcl")
			}
			continue
		}
		o.Run("apply", "--var", fmt.Sprintf("version=%d", w.version), o.Write(file+".hcl", orderFile(file)))
		for _, group := range orderFiles[file] {
			verb := map[bool]string{true: "stop", false: "start"}[w.stopped[group]]
			o.Run(verb, group)
		}
	}
}

// differs returns an error if the world is not as wished.
func (o *orders) differs() error {
	running, known := map[string]int{}, map[string]bool{} // the versions of those that run; those that there are
	for file, w := range o.wishes {
		for _, g := range orderFiles[file] {
			if known[g] = true; !w.stopped[g] {
				running[g] = w.version
			}
		}
	}
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, g := range o.PS() {
		version, runs := running[g.Name]
		switch {
		case !known[g.Name]:
			wrong("group %s is %s, and was removed", g.Name, g.State)
		case !runs && g.State != group.Stopped:
			wrong("group %s is %s, and was stopped", g.Name, g.State)
		case runs && g.State != group.Running:
			wrong("group %s is %s (%s), and was started", g.Name, g.State, g.Error)
		case runs:
			errs = append(errs, versionErrors(g, version)...)
		}
		delete(known, g.Name)
	}
	for g := range known {
		wrong("there is no group %s", g)
	}
	same := func(what string, got, want []string) {
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			wrong("%s: %q, want %q", what, got, want)
		}
	}
	var files []string
	for file := range o.wishes {
		files = append(files, file+".hcl")
		if text, err := os.ReadFile(filepath.Join(o.Groups, file+".hcl")); err == nil && string(text) != orderFile(file) {
			wrong("%s.hcl is not as applied", file)
		}
	}
	up := slices.Collect(maps.Keys(running))
	same("group files", o.names("groups.d", ".hcl"), files)
	same("wanted groups", o.names("state/wanted", ".json"), suffixed(groupsOf(o.wishes), ".json"))
	same("namespaces", o.names("run/netns", ""), slices.Clone(up))
	for _, root := range o.CgroupRoots() {
		var found []string
		entries, _ := os.ReadDir(root)
		for _, e := range entries {
			if e.IsDir() {
				found = append(found, e.Name())
			}
		}
		same("cgroups in "+root, found, slices.Clone(up))
	}
	links := 0
	machine.MustInNetns(o.T, o.Host, func() error {
		all, err := net.Interfaces()
		for _, l := range all {
			if strings.HasPrefix(l.Name, "sp-") {
				links++
			}
		}
		return err
	})
	if _, far := running["far"]; far != (links == 1) || links > 1 {
		wrong("%d links of groups on the host", links)
	}
	for _, groups := range orderFiles {
		for _, g := range groups {
			if _, runs := running[g]; runs {
				continue
			}
			for _, left := range o.LeftInContainerd(g + ".") {
				if stays := slices.Contains(groupsOf(o.wishes), g); !stays || !strings.HasPrefix(left, "leases ") { // they keep its images
					wrong("of group %s, which does not run: %s", g, left)
				}
			}
		}
	}
	return errors.Join(errs...)
}

// groupsOf lists the groups of all wishes.
func groupsOf(wishes map[string]*wish) (groups []string) {
	for file := range wishes {
		groups = append(groups, orderFiles[file]...)
	}
	return groups
}

// removeSetAside removes the damaged files that a daemon keeps for its operator.
func (o *orders) removeSetAside() {
	found, _ := filepath.Glob(filepath.Join(o.Root, "state", "*", "*.damaged*"))
	for _, path := range found {
		os.RemoveAll(path)
	}
}

// names lists the files of a folder below the root that have a suffix, and are not hidden.
func (o *orders) names(dir, suffix string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(o.Root, dir))
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names
}

func suffixed(names []string, suffix string) (out []string) {
	for _, name := range names {
		out = append(out, name+suffix)
	}
	return out
}

// versionErrors returns what is wrong with a group that runs.
func versionErrors(g group.Status, version int) (errs []error) {
	for _, c := range g.Containers {
		if c.Task != host.TaskRunning {
			errs = append(errs, fmt.Errorf("container %s.%s is %s", g.Name, c.Name, c.Task))
			continue
		}
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.PID))
		if want := fmt.Sprintf("VERSION=%d", version); c.Name == "app" && !slices.Contains(strings.Split(string(env), "\x00"), want) {
			errs = append(errs, fmt.Errorf("container %s.%s does not have %s but %q (%v)", g.Name, c.Name, want, env, err))
		}
	}
	return errs
}
