package main

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootClock returns a function that returns the id of the host's boot and the time since then. That
// is the kernel's CLOCK_BOOTTIME: it can't be set, and goes on while the host sleeps. The id is
// empty if either can't be read.
func bootClock() func() (id string, up time.Duration) {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id := strings.TrimSpace(string(text))
	return func() (string, time.Duration) {
		var now unix.Timespec
		if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
			return "", 0
		}
		return id, time.Duration(now.Nano())
	}
}
