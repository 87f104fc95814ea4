package hosttest

import (
	"context"
	"fmt"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A Processes reaches the programs of a Host. It implements [keeper.Processes].
type Processes Host

// Processes returns what reaches the host's programs.
func (h *Host) Processes() *Processes { return (*Processes)(h) }

// An input is the standard input of one container. The zero value has taken nothing.
type input struct {
	mu      sync.Mutex
	taken   []byte
	ended   bool
	unknown bool // the process that wrote to it was killed
}

// Signal ends the program with the status of that signal.
func (p *Processes) Signal(_ context.Context, group, name string, signal syscall.Signal) (dropped bool, err error) {
	h := (*Host)(p)
	return false, h.act("signal "+unix.SignalName(signal), group, name, func(_ string, c *container) error {
		if c != nil && c.state.Task == host.TaskRunning {
			c.end(128+uint32(signal), h.now())
		}
		return nil
	})
}

// OpenInput returns the input of a container. It takes all that is written, at once.
func (p *Processes) OpenInput(_ context.Context, group, name string) (host.Input, error) {
	h := (*Host)(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.inputs[spec.ID(group, name)]
	switch {
	case in == nil:
		return nil, fmt.Errorf("container %s has no standard input", spec.ID(group, name))
	case in.unknown:
		return nil, host.ErrInputUnknown
	}
	return in, nil
}

// RemoveInput forgets the input of a container.
func (p *Processes) RemoveInput(group, name string) error {
	h := (*Host)(p)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.inputs, spec.ID(group, name))
	return nil
}

// LoseInput makes it unknown how much an input has taken.
func (h *Host) LoseInput(group, name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if in := h.inputs[spec.ID(group, name)]; in != nil {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.unknown = true
	}
}

// Input returns what a container's standard input has taken, and whether it has come to its end.
func (h *Host) Input(group, name string) (taken string, ended bool) {
	h.mu.Lock()
	in := h.inputs[spec.ID(group, name)]
	h.mu.Unlock()
	if in == nil {
		return "", false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return string(in.taken), in.ended
}

// Inputs returns how many containers have a standard input.
func (h *Host) Inputs() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.inputs)
}

func (in *input) Taken() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return uint64(len(in.taken))
}

func (in *input) Write(p []byte) (int, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.taken = append(in.taken, p...)
	return len(p), nil
}

func (in *input) End() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	return nil
}

func (in *input) Close() error { return nil }
