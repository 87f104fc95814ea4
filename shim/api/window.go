package api

import (
	"bytes"
	"fmt"
	"sync"
)

// An inbox is the daemon's end of standard input. It holds what the client has sent within its
// window and the process has not read yet.
type inbox struct {
	grant func(n int) // lets the client send n more bytes

	mu    sync.Mutex
	ready sync.Cond // a field below has changed
	data  bytes.Buffer
	end   error // returned by Read when data is empty; if nil, Read waits
}

func newInbox(grant func(n int)) *inbox {
	in := &inbox{grant: grant}
	in.ready.L = &in.mu
	return in
}

// put adds input and never waits. It refuses more than the client was granted.
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

// close sets the error that Read returns after the last byte. Only the first call counts.
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

// A credit is the client's end of the window: the number of bytes that it may send.
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

// wait returns the number of bytes that may be sent, at least one. After close it returns 0.
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
