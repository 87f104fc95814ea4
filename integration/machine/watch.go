package machine

import (
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netns"
)

// A Watch is a capture that judges each frame when it arrives, so it can run for long. Each group's
// ambassador sends to an address of its own. A frame to any other address is a member's.
type Watch struct {
	*Capture
	notLinks map[int]bool // the host's links that are no group's
	doors    map[byte]int // frames to each door since it was last asked for
	members  []Frame      // the first of what members sent
	total    struct{ doors, members int }
}

// AmbassadorAddr returns the address that the nth ambassador sends to.
func AmbassadorAddr(n int) string { return fmt.Sprintf("198.51.100.%d", 100+n) }

// NewWatch listens on a host until the test ends. The links that the host has now belong to no
// group.
func NewWatch(t testing.TB, ns netns.NsHandle) *Watch {
	t.Helper()
	w := &Watch{Capture: &Capture{ns: ns, links: map[int]bool{}, ended: make(chan struct{})}, notLinks: map[int]bool{}, doors: map[byte]int{}}
	MustInNetns(t, ns, func() error {
		links, err := net.Interfaces()
		for _, l := range links {
			w.notLinks[l.Index] = true
		}
		return err
	})
	w.note = w.judge
	w.start(t)
	return w
}

func (w *Watch) judge(f Frame) {
	if w.notLinks[f.link] || !AnyFrame(f) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if to := f.Dst().To4(); to != nil && [3]byte(to[:3]) == [3]byte{198, 51, 100} && to[3] >= 100 && to[3] < 200 {
		w.doors[to[3]-100]++
		w.total.doors++
		return
	}
	w.total.members++
	if len(w.members) < 20 {
		w.members = append(w.members, f)
	}
}

// Ambassador returns how many frames of the nth ambassador there were since the last call.
func (w *Watch) Ambassador(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.doors[byte(n)]
	delete(w.doors, byte(n))
	return seen
}

// Verdict returns how many frames of ambassadors and of members there were since the last call, and
// the first frames of members.
func (w *Watch) Verdict() (doors, members int, first []Frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	doors, members, first = w.total.doors, w.total.members, w.members
	w.total.doors, w.total.members, w.members = 0, 0, nil
	return doors, members, first
}
