package integration

import (
	"fmt"
	"net"
	"testing"

	"github.com/vishvananda/netns"
)

// A watch is a capture that judges each frame as it comes, so that it can go on for long. Each group's ambassador goes for an
// address of its own, its door; a frame to anywhere else is a member's.
type watch struct {
	*capture
	notLinks map[int]bool // the host's links that are no group's
	doors    map[byte]int // frames to each door since it was last asked for
	members  []frame      // the first of what members sent
	total    struct{ doors, members int }
}

// doorAddr is what the nth ambassador goes for.
func doorAddr(n int) string { return fmt.Sprintf("198.51.100.%d", 100+n) }

func newWatch(t testing.TB, ns netns.NsHandle) *watch {
	t.Helper()
	w := &watch{capture: &capture{ns: ns, links: map[int]bool{}, ended: make(chan struct{})}, notLinks: map[int]bool{}, doors: map[byte]int{}}
	within(t, ns, func() error {
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

func (w *watch) judge(f frame) {
	if w.notLinks[f.link] || !anyFrame(f) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if to := f.dst().To4(); to != nil && [3]byte(to[:3]) == [3]byte{198, 51, 100} && to[3] >= 100 && to[3] < 200 {
		w.doors[to[3]-100]++
		w.total.doors++
		return
	}
	w.total.members++
	if len(w.members) < 20 {
		w.members = append(w.members, f)
	}
}

// door says how many frames of the nth ambassador there were since the last call.
func (w *watch) door(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.doors[byte(n)]
	delete(w.doors, byte(n))
	return seen
}

// verdict says what there was since the last call: frames of ambassadors and of members, and the first of these.
func (w *watch) verdict() (doors, members int, first []frame) {
	w.mu.Lock()
	defer w.mu.Unlock()
	doors, members, first = w.total.doors, w.total.members, w.members
	w.total.doors, w.total.members, w.members = 0, 0, nil
	return doors, members, first
}
