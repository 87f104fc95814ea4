package hosttest

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/spec"
)

// A Host is a machine in memory. [Host.Network], [Host.Volumes] and [Host.Runtime] are its sides; the Host itself is its
// [keeper.Watcher]. The zero value is not usable.
type Host struct {
	now func() time.Time

	mu         sync.Mutex
	nets       map[string]*network
	pins       int                                  // namespaces ever pinned: each has its number
	volumes    map[string]map[string]volume         // mounted, by group and name
	kept       map[string]map[string]bool           // persistent volumes that there are, by group and name
	absent     map[string]bool                      // paths of the host that don't exist
	bounds     map[string]spec.Resources            // of whole groups
	held       map[string]map[int]map[string]string // references of images, by group, generation and digest
	holding    bool                                 // what containers are made of has to be held
	bounding   bool                                 // groups are to have their bounds before anything of them starts
	containers map[string]*container
	made       time.Duration     // a nanosecond for each container that was created
	images     map[string]string // reference -> digest; what is not in it has one made of its reference
	missing    map[string]bool
	quitters   map[string]uint32 // containers that end at once, and how
	leavers    map[string]uint32 // how containers end that are stopped
	faults     map[string][]fault
	wants      map[string]*spec.Group // the definition last looked at with
	unread     map[string]bool        // groups whose containers could not be read when last looked at
	unruled    map[string]bool        // groups whose rules could not be read when last looked at
	doors      map[string]*door
	answers    map[string]error  // of probes, by "GROUP.NAME KIND"
	asked      map[string]int    // how often, by the same
	looks      map[string]int    // by group, at its containers
	open       map[string]bool   // by group, its ambassador was ready at the last of these
	glanced    map[string]string // by group, its network when it was last asked for changes
	operations []string
	violations []string
	listeners  []func(group string)
}

// A network is a group's namespace and what is in it.
type network struct {
	pinned bool
	number int    // of the namespace
	sealed bool   // everything is denied in it, but for the policy
	policy string // admitted; empty: nobody
	link   string // connected; empty: no link
}

// A container is one container and its task.
type container struct {
	state     host.ContainerState
	group     *spec.Group
	namespace int // the number of the one its processes are in
	begun     bool
	own       bool               // it has ended of itself
	shown     bool               // somebody was told how it has ended,
	known     bool               // and has gone on since
	lost      bool               // and containerd has forgotten it
	look      int                // at the containers, the last before it was started
	answers   map[string]answers // by kind of probe, since it was started

	mounted      map[string]contract.Mount // by their path, as it was created
	capabilities []string
}

// A fault is one failure to come.
type fault struct {
	err   error
	after bool // the operation is done, and fails nevertheless
}

// New returns a host that has nothing. now may be nil: it is time.Now.
func New(now func() time.Time) *Host {
	if now == nil {
		now = time.Now
	}
	return &Host{
		now: now, nets: map[string]*network{}, volumes: map[string]map[string]volume{}, kept: map[string]map[string]bool{}, absent: map[string]bool{},
		bounds: map[string]spec.Resources{}, held: map[string]map[int]map[string]string{},
		containers: map[string]*container{},
		images:     map[string]string{}, missing: map[string]bool{}, quitters: map[string]uint32{}, leavers: map[string]uint32{}, faults: map[string][]fault{},
		unread: map[string]bool{}, unruled: map[string]bool{}, wants: map[string]*spec.Group{},
		doors: map[string]*door{}, glanced: map[string]string{}, open: map[string]bool{}, looks: map[string]int{},
		answers: map[string]error{}, asked: map[string]int{},
	}
}

// Network, Volumes and Runtime are the host's three sides.
func (h *Host) Network() *Network { return (*Network)(h) }

// Volumes is the host's mounts and folders.
func (h *Host) Volumes() *Volumes { return (*Volumes)(h) }

// Runtime is the host's containerd.
func (h *Host) Runtime() *Runtime { return (*Runtime)(h) }

// Watch tells of every change of a container until ctx ends.
func (h *Host) Watch(ctx context.Context, changed func(group string)) error {
	h.mu.Lock()
	h.listeners = append(h.listeners, changed)
	h.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// FailNext makes the next operation of that name fail without having done anything. The names are those of [Host.Operations]:
// "seal", "admit", "connect", "disconnect", "limit", "hold web:1", "release", "list held images", "mount logs", "unmount logs", "discard g", "image web:1", "create web", "start web", "stop web",
// "remove web", "observe network", "observe bounds", "observe volumes", "observe containers", "list networks", "list volumes", "list containers".
func (h *Host) FailNext(operation string, err error) { h.addFault(operation, fault{err: err}) }

// FailNextDone makes the next operation of that name fail although it has been done: the answer was lost.
func (h *Host) FailNextDone(operation string, err error) {
	h.addFault(operation, fault{err: err, after: true})
}

func (h *Host) addFault(operation string, f fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults[operation] = append(h.faults[operation], f)
}

// ForgetFaults drops the failures still to come.
func (h *Host) ForgetFaults() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = map[string][]fault{}
}

// Operations are the names of what has been done or tried, in order, but for looking and for holding images.
func (h *Host) Operations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.operations)
}

// ForgetOperations empties what Operations returns.
func (h *Host) ForgetOperations() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = nil
}

// Violations are the times that an invariant was broken, each a line that begins with its name.
func (h *Host) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.violations)
}

// String is the host in an operator's words, a line for each thing it has, sorted.
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
	for group, r := range h.bounds {
		lines = append(lines, boundsLine(group, r))
	}
	for id, c := range h.containers {
		lines = append(lines, c.line(id))
	}
	sort.Strings(lines)
	return strings.Join(append(lines, ""), "\n")
}

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

func (c *container) line(id string) string {
	s := c.state
	line := fmt.Sprintf("container %s (%s) %s, from %s of %s", id, s.Role, s.Task, short(s.Digest), short(s.ImageDigest))
	if s.Task == host.TaskStopped {
		line += fmt.Sprintf(", status %d", s.ExitStatus)
	}
	return line
}

func short(digest string) string { return digest[:min(len(digest), 16)] }

// began notes an operation and returns the fault it is to have.
func (h *Host) began(operation string) (f fault) {
	verb, _, _ := strings.Cut(operation, " ")
	if !slices.Contains([]string{"observe", "list", "hold"}, verb) {
		h.operations = append(h.operations, operation)
	}
	if faults := h.faults[operation]; len(faults) > 0 {
		f = faults[0]
		h.faults[operation] = faults[1:]
		f.err = fmt.Errorf("%s: %w", operation, f.err)
	}
	return f
}

// violated needs mu.
func (h *Host) violated(i Invariant, format string, args ...any) {
	h.violations = append(h.violations, string(i)+": "+fmt.Sprintf(format, args...))
}

// tell tells the watchers; the caller does not hold mu.
func (h *Host) tell(group string) {
	h.mu.Lock()
	listeners := slices.Clone(h.listeners)
	h.mu.Unlock()
	for _, changed := range listeners {
		changed(group)
	}
}
