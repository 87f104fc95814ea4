package ctrd

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"
)

// shimStarts lets one call at a time start the shim of a group. Several at once race for its
// socket. Between the bind and the listen of one, another takes the socket for that of a dead shim
// and removes it. Then it fails, or leaves a shim that can't be reached. As soon as the shim
// listens, or the first call has succeeded, all others go on at once.
type shimStarts struct {
	mu    sync.Mutex
	first map[string]*shimStart // by group of containers that share a shim
}

// A shimStart is a first call that is running.
type shimStart struct {
	once sync.Once
	done chan struct{}
	up   bool // there is a shim; read after done is closed
}

func (s *shimStart) tell(up bool) {
	s.once.Do(func() { s.up = up; close(s.done) })
}

// do calls create, which starts the group's shim if there is none. listening reports whether there
// is one.
func (s *shimStarts) do(ctx context.Context, group string, listening func() bool, create func() error) error {
	for {
		start, first := s.join(group)
		if first {
			defer s.leave(group)
			return start.lead(listening, create)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-start.done:
		}
		if start.up {
			return create()
		}
	}
}

func (s *shimStarts) join(group string) (start *shimStart, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if start := s.first[group]; start != nil {
		return start, false
	}
	if s.first == nil {
		s.first = make(map[string]*shimStart)
	}
	start = &shimStart{done: make(chan struct{})}
	s.first[group] = start
	return start, true
}

func (s *shimStarts) leave(group string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.first, group)
}

// lead calls create, and lets the others go on as early as possible.
func (s *shimStart) lead(listening func() bool, create func() error) error {
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		for tick := time.NewTicker(time.Millisecond); ; {
			if listening() {
				tick.Stop()
				s.tell(true)
				return
			}
			select {
			case <-ended:
				tick.Stop()
				return
			case <-tick.C:
			}
		}
	}()
	err := create()
	close(ended)
	<-watched
	s.tell(err == nil)
	return err
}

// shimSockets is where shims of every version put their sockets, independent of containerd's own
// folders.
const shimSockets = "/run/containerd/s"

// shimListens connects to the address that shims choose for themselves, as a shim does that starts.
// If a version chooses another address, nothing listens here, and the calls after the first are
// later than necessary.
func (c *Client) shimListens(group string) bool {
	conn, err := net.Dial("unix", c.shimSocket(group))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

func (c *Client) shimSocket(group string) string {
	name := sha256.Sum256([]byte(filepath.Join(c.cfg.Address, c.cfg.Layout.Namespace, group)))
	return fmt.Sprintf("%s/%x", shimSockets, name)
}
