package hosttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hosttest/contract"
	"github.com/sallyport/sallyport/spec"
)

// A Host is a machine in memory. Its methods Network, Volumes, Runtime, Cgroups, Images and Prober
// return what a keeper needs of it. The Host itself implements [keeper.Watcher], [keeper.Changes],
// [runner.Drift] and [denials.Door]. The zero value is not usable.
type Host struct {
	now func() time.Time

	mu                sync.Mutex
	nets              map[string]*network
	pinned            int                                  // namespaces ever pinned: each has a number
	volumes           map[string]map[string]volume         // mounted, by group and name
	persistent        map[string]map[string]bool           // persistent volumes that exist, by group and name
	mountedEver       int                                  // ephemeral volumes: the content of each has a number
	unsavable         bool                                 // no process can give back a volume that was unmounted
	absent            map[string]bool                      // paths of the host that don't exist
	limits            map[string]spec.Resources            // of whole groups
	retained          map[string]map[int]map[string]string // references of images, by group, generation and digest
	retentions        []string                             // each call that retained an image
	held              map[string]int                       // references and digests that are held
	holding           map[string]bool                      // groups whose images are held and not retained
	retaining         bool                                 // the images of containers have to be retained
	limiting          bool                                 // groups need their limits before their programs start
	containers        map[string]*container
	inputs            map[string]*input // by container that was created with one
	boots             int               // how often the host was booted since
	created           time.Duration     // one nanosecond for each container ever created
	registry          map[string]string // reference -> digest at its registry, where that is another one
	images            map[string]string // reference -> digest. Other references have a digest made from them
	missing           map[string]bool
	unsigned          map[string]bool            // digests that no one has signed
	strangers         map[string]bool            // keys that have signed nothing
	proofs            map[string]map[string]bool // by digest, the keys with which it was verified
	forbidden         map[string]bool            // devices that no container gets
	exitOnReload      map[string]uint32          // by container, the status of a program that ends by a reload
	lostReloads       map[string]bool            // by container: the next one ends before the signal
	exitAtOnce        map[string]uint32          // by container or image, the status of a program that ends at once
	stopStatus        map[string]uint32          // by container, its status after a stop
	faults            map[string][]fault
	wanted            map[string]*spec.Group // by group, the definition of the last observation of the network
	containersUnknown map[string]bool        // by group, the last observation of its containers failed
	rulesUnknown      map[string]bool        // by group, the last observation of its network failed
	doors             map[string]*door
	woken             Woken             // by a change of counts at doors
	hostArmed         bool              // the next refusal by the host's rules is told
	doorReads         map[string]int    // by group
	answers           map[string]error  // of probes, by "GROUP.NAME KIND"
	asked             map[string]int    // how often, by the same key
	observations      map[string]int    // by group, how often its containers were observed
	ambassadorReady   map[string]bool   // by group, its ambassador was ready at the last observation
	fingerprints      map[string]string // by group, its network at the last call of Changed
	operations        []string
	violations        []string
	listeners         []func(group string)
}

// A network is a group's namespace and the things in it.
type network struct {
	pinned bool
	number int             // of the namespace
	sealed bool            // everything is denied in it, except for the policy
	policy string          // in force. Empty: none
	link   string          // its settings. Empty: no link
	placed map[string]bool // containers that have a cgroup
}

// A container is a container and its task.
type container struct {
	state       host.ContainerState
	group       *spec.Group
	namespace   int // the number of the namespace that its processes are in
	started     bool
	endedItself bool               // it has ended by itself
	endObserved bool               // an observation had its end
	endKnown    bool               // and a step was done after that
	taskLost    bool               // containerd has forgotten its task
	startedAt   int                // how often the group had been observed before its start
	answers     map[string]verdict // by kind of probe, since its start
	signals     []string           // of its reloads

	mounted      map[string]contract.Mount // by path, since it was created
	contents     map[string]int            // by volume, the number of its content
	readOnly     bool                      // its root file system
	tmpfs        []spec.Tmpfs
	output       spec.Output
	outputOf     string
	capabilities []string
	devices      map[string]string // how it opens them, by path
}

// New returns a host that has nothing. A nil now is time.Now.
func New(now func() time.Time) *Host {
	if now == nil {
		now = time.Now
	}
	return &Host{
		now: now, nets: map[string]*network{}, volumes: map[string]map[string]volume{}, persistent: map[string]map[string]bool{}, absent: map[string]bool{},
		limits: map[string]spec.Resources{}, retained: map[string]map[int]map[string]string{}, held: map[string]int{},
		containers: map[string]*container{}, inputs: map[string]*input{}, holding: map[string]bool{},
		registry: map[string]string{}, images: map[string]string{}, missing: map[string]bool{}, unsigned: map[string]bool{}, strangers: map[string]bool{}, proofs: map[string]map[string]bool{}, forbidden: map[string]bool{}, exitAtOnce: map[string]uint32{}, exitOnReload: map[string]uint32{}, lostReloads: map[string]bool{}, stopStatus: map[string]uint32{}, faults: map[string][]fault{},
		containersUnknown: map[string]bool{}, rulesUnknown: map[string]bool{}, wanted: map[string]*spec.Group{},
		doors: map[string]*door{}, doorReads: map[string]int{}, fingerprints: map[string]string{}, ambassadorReady: map[string]bool{}, observations: map[string]int{},
		answers: map[string]error{}, asked: map[string]int{},
	}
}

// Network returns the host's network.
func (h *Host) Network() *Network { return (*Network)(h) }

// Volumes returns the host's mounts and folders.
func (h *Host) Volumes() *Volumes { return (*Volumes)(h) }

// Runtime returns the host's containerd.
func (h *Host) Runtime() *Runtime { return (*Runtime)(h) }

// Watch implements [keeper.Watcher]. It calls changed after every operation on a container.
func (h *Host) Watch(ctx context.Context, changed func(group string)) error {
	h.mu.Lock()
	h.listeners = append(h.listeners, changed)
	h.mu.Unlock()
	<-ctx.Done()
	return ctx.Err()
}

// Operations returns the names of the operations that were done or tried, in order. Observations
// and the retention of images are left out.
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

// Violations returns a line for each violation of an [Invariant]. It begins with the invariant.
func (h *Host) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.violations)
}

// begin records an operation and returns its fault. A fault without an error means that it
// succeeds. The caller holds mu.
func (h *Host) begin(operation string) (f fault) {
	verb, _, _ := strings.Cut(operation, " ")
	if !slices.Contains([]string{"observe", "list", "retain"}, verb) {
		h.operations = append(h.operations, operation)
	}
	if faults := h.faults[operation]; len(faults) > 0 {
		f = faults[0]
		h.faults[operation] = faults[1:]
		f.err = fmt.Errorf("%s: %w", operation, f.err)
	}
	return f
}

// violated records a violation. The caller holds mu.
func (h *Host) violated(i Invariant, format string, args ...any) {
	h.violations = append(h.violations, string(i)+": "+fmt.Sprintf(format, args...))
}

// notify calls the watchers. The caller does not hold mu.
func (h *Host) notify(group string) {
	h.mu.Lock()
	listeners := slices.Clone(h.listeners)
	h.mu.Unlock()
	for _, changed := range listeners {
		changed(group)
	}
}
