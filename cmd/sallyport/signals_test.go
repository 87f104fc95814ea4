package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Each SIGHUP reads the files and notifies systemd. A folder that can't be read does not end the
// daemon.
func TestReload(t *testing.T) {
	dir, err := os.MkdirTemp("", "sp") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	notified := func() string {
		buf := make([]byte, 256)
		n, err := systemd.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}

	ctx, cancel := context.WithCancel(t.Context())
	loads := 0
	load := func(context.Context) error {
		loads++
		if loads == 1 {
			return errors.New("unreadable")
		}
		return nil
	}
	hangup, stop := hangups()
	defer stop()
	done := make(chan error)
	go func() { done <- reload(ctx, hangup, load, slog.New(slog.DiscardHandler)) }()
	for range 2 {
		if err := unix.Kill(os.Getpid(), unix.SIGHUP); err != nil {
			t.Fatal(err)
		}
		if got := notified(); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
			t.Errorf("notified with %q", got)
		}
		if got := notified(); got != "READY=1" {
			t.Errorf("notified with %q", got)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if loads != 2 {
		t.Errorf("read %d times, want 2", loads)
	}
}
