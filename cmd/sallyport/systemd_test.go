package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// systemd waits for the first look at all groups, but not for a file that can't be read.
func TestNotifyReady(t *testing.T) {
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
	log := slog.New(slog.DiscardHandler)
	closed := make(chan struct{})
	close(closed)
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name  string
		ctx   context.Context
		ready chan struct{}
		took  time.Duration
		want  string
	}{
		{"all groups were looked at", context.Background(), closed, 0, "READY=1"},
		{"a file can't be read", context.Background(), nil, readyWithin, "READY=1"},
		{"the daemon ends", canceled, nil, 0, "nothing"},
	} {
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			notifyReady(c.ctx, c.ready, log)
			if took := time.Since(began); took != c.took {
				t.Errorf("%s: it took %v, want %v", c.name, took, c.took)
			}
		})
		notifySystemd(log, "nothing")
		buf := make([]byte, 64)
		n, err := systemd.Read(buf)
		if err != nil || string(buf[:n]) != c.want {
			t.Errorf("%s: systemd got %q, %v, want %q", c.name, buf[:n], err, c.want)
		}
		if c.want != "nothing" {
			_, _ = systemd.Read(buf)
		}
	}
}
