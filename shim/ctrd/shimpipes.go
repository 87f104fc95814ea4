package ctrd

import (
	"maps"
	"os"
	"strings"
	"sync"
	"time"
)

// pipesKept is how long the descriptors of a shim are remembered.
const pipesKept = 10 * time.Second

// A shimPipes knows which descriptors of the shims are pipes. One list of a shim's descriptors is
// for all containers whose pipes were looked for before it: a shim of the whole host has eight for
// each container.
type shimPipes struct {
	mu     sync.Mutex
	byShim map[int]*heldPipes
}

// A heldPipes has the descriptors of one shim.
type heldPipes struct {
	mu     sync.Mutex
	listed time.Time         // when the list began
	paths  map[string]string // by pipe
}

// find returns the descriptors of two pipes in a shim. One is empty if the shim doesn't have that
// pipe.
func (s *shimPipes) find(shim int, pipes [2]string) (held [2]string, err error) {
	asked := time.Now()
	h := s.of(shim, asked)
	h.mu.Lock()
	defer h.mu.Unlock()
	if held = h.of(pipes); (held[0] == "" || held[1] == "") && !h.listed.After(asked) {
		err = h.list(shim)
		held = h.of(pipes)
	}
	return held, err
}

func (s *shimPipes) of(shim int, now time.Time) *heldPipes {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.DeleteFunc(s.byShim, func(_ int, h *heldPipes) bool {
		if !h.mu.TryLock() {
			return false // it is used
		}
		defer h.mu.Unlock()
		return now.Sub(h.listed) >= pipesKept
	})
	h := s.byShim[shim]
	if h == nil {
		if s.byShim == nil {
			s.byShim = map[int]*heldPipes{}
		}
		h = &heldPipes{listed: now}
		s.byShim[shim] = h
	}
	return h
}

// of returns those descriptors that still lead to the pipes.
func (h *heldPipes) of(pipes [2]string) (held [2]string) {
	for i, pipe := range pipes {
		if path := h.paths[pipe]; path != "" {
			if to, err := os.Readlink(path); err == nil && to == pipe {
				held[i] = path
			}
		}
	}
	return held
}

func (h *heldPipes) list(shim int) error {
	h.listed, h.paths = time.Now(), map[string]string{}
	fds, err := os.ReadDir(procPath(shim, "fd"))
	if err != nil {
		return err
	}
	for _, fd := range fds {
		path := procPath(shim, "fd/"+fd.Name())
		if to, err := os.Readlink(path); err == nil && isPipe(to) {
			h.paths[to] = path
		}
	}
	return nil
}

// isPipe reports whether that which a descriptor leads to is a pipe without a name.
func isPipe(to string) bool { return strings.HasPrefix(to, "pipe:") }
