package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/shim/host"
)

// A terminal is the operator's terminal in raw mode: the command gets every key, even the interrupt
// key.
type terminal struct {
	in, out *os.File
	before  *term.State
}

// openTerminal puts the terminal into raw mode. The caller must restore it.
func openTerminal(in, out *os.File) (*terminal, error) {
	if !term.IsTerminal(int(in.Fd())) {
		return nil, noTerminal("standard input")
	}
	if !term.IsTerminal(int(out.Fd())) {
		return nil, noTerminal("standard output")
	}
	before, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("make the terminal raw: %w", err)
	}
	return &terminal{in: in, out: out, before: before}, nil
}

func (t *terminal) restore() { _ = term.Restore(int(t.in.Fd()), t.before) }

// sizes sends the terminal's size now and after each change, until ctx ends. The channel holds only
// the newest size.
func (t *terminal) sizes(ctx context.Context) <-chan host.WinSize {
	sizes := make(chan host.WinSize, 1)
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	fd := int(t.out.Fd()) // asked for here: the file may be closed before the goroutine has ended
	go func() {
		defer signal.Stop(changed)
		for {
			if width, height, err := term.GetSize(fd); err == nil {
				select {
				case <-sizes:
				default:
				}
				sizes <- host.WinSize{Width: uint16(width), Height: uint16(height)}
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sizes
}

func noTerminal(what string) error {
	return usage(fmt.Errorf("-t needs a terminal, but %s is not one", what), "leave out -t; -i alone passes standard input to the command")
}
