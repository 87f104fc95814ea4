package api

import (
	"bytes"
	"fmt"
	"sync"
)

// An inbox is the daemon's end of standard input: what the client sent within its window and the
// process hasn't read.
type inbox struct {
	grant func(n int) // lets the client send n bytes more

	mu    sync.Mutex
	ready sync.Cond // something of the below has changed
	data  bytes.Buffer
	end   error // what Read returns when data is empty; nil: it waits
}

func newInbox(grant func(n int)) *inbox {
	in := &inbox{grant: grant}
	in.ready.L = &in.mu
	return in
}

// put never waits. It refuses what is more than the client was granted.
func (in *inbox) put(p []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.data.Len()+len(p) > window {
		return fmt.Errorf("%w: input of more than the window", errFrame)
	}
	if in.end == nil {
		in.data.Write(p)
		in.ready.Broadcast()
	}
	return nil
}

// close makes err what Read returns after the last byte. The first call counts.
func (in *inbox) close(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end == nil {
		in.end = err
		in.ready.Broadcast()
	}
}

func (in *inbox) Read(p []byte) (int, error) {
	in.mu.Lock()
	for in.data.Len() == 0 && in.end == nil {
		in.ready.Wait()
	}
	if in.data.Len() == 0 {
		defer in.mu.Unlock()
		return 0, in.end
	}
	n, _ := in.data.Read(p)
	in.mu.Unlock()
	in.grant(n)
	return n, nil
}

// A credit is the client's end: how many bytes it may send.
type credit struct {
	mu     sync.Mutex
	ready  sync.Cond
	n      int
	closed bool
}

func newCredit(n int) *credit {
	c := &credit{n: n}
	c.ready.L = &c.mu
	return c
}

func (c *credit) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	c.ready.Broadcast()
}

// wait returns how many bytes may be sent, at least one; 0 after close.
func (c *credit) wait() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.n <= 0 && !c.closed {
		c.ready.Wait()
	}
	if c.closed {
		return 0
	}
	return c.n
}

func (c *credit) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.ready.Broadcast()
}
