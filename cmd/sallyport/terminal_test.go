package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/containerd/console"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/host"
)

// openPTY returns both ends of a pseudo-terminal: the terminal program's and ours.
func openPTY(t *testing.T) (console.Console, *os.File) {
	t.Helper()
	master, name, err := console.NewPty()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// endOfTerminal is printed to a terminal once a verb has ended.
const endOfTerminal = "\x00the end\x00"

// received reads what a terminal gets, from now on. Its result prints the end to the terminal and
// returns the text before it. The other end is closed only then: the kernel may drop what has not
// been read by then.
func received(t *testing.T, master io.Reader) func(slave *os.File) string {
	text := make(chan string, 1)
	go func() {
		var all []byte
		buf := make([]byte, 4096)
		for !bytes.HasSuffix(all, []byte(endOfTerminal)) {
			n, err := master.Read(buf)
			if all = append(all, buf[:n]...); err != nil {
				t.Errorf("the terminal ended early: %v", err)
				break
			}
		}
		text <- strings.TrimSuffix(string(all), endOfTerminal)
	}()
	return func(slave *os.File) string {
		t.Helper()
		if _, err := slave.WriteString(endOfTerminal); err != nil {
			t.Fatal(err)
		}
		all := <-text
		slave.Close()
		return all
	}
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	state, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

func TestTerminal(t *testing.T) {
	master, slave := openPTY(t)
	if err := master.Resize(console.WinSize{Width: 100, Height: 30}); err != nil {
		t.Fatal(err)
	}
	if !echoes(t, slave) {
		t.Fatal("a new terminal doesn't echo: this test can't detect raw mode")
	}
	term, err := openTerminal(slave, slave)
	if err != nil {
		t.Fatal(err)
	}
	if echoes(t, slave) {
		t.Error("an open terminal echoes")
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sizes := term.sizes(ctx)
	if got, want := <-sizes, (host.WinSize{Width: 100, Height: 30}); got != want {
		t.Errorf("at first %+v, want %+v", got, want)
	}
	if err := master.Resize(console.WinSize{Width: 60, Height: 20}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(os.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	if got, want := <-sizes, (host.WinSize{Width: 60, Height: 20}); got != want {
		t.Errorf("after a change %+v, want %+v", got, want)
	}

	term.restore()
	if !echoes(t, slave) {
		t.Error("a restored terminal doesn't echo")
	}
}

func TestNoTerminal(t *testing.T) {
	_, slave := openPTY(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := openTerminal(null, slave); err == nil || err.Error() != "-t needs a terminal, but standard input is not one" {
		t.Errorf("standard input: %v", err)
	}
	if _, err := openTerminal(slave, null); err == nil || err.Error() != "-t needs a terminal, but standard output is not one" {
		t.Errorf("standard output: %v", err)
	}
	if !echoes(t, slave) {
		t.Error("a refused terminal is raw")
	}
}
