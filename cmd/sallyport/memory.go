package main

import (
	"runtime/debug"
	"slices"
	"strings"
)

// The daemon is mostly idle, and its live heap has a few MiB. So it collects garbage early, before
// garbage doubles the heap. The limit only makes the collector work harder; it ends nothing.
const (
	garbagePercent = 40
	memoryLimit    = 48 << 20 // bytes
)

// spareMemory applies these values, except where the operator has set GOGC or GOMEMLIMIT.
func spareMemory(environ []string) {
	given := func(name string) bool {
		return slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	}
	if !given("GOGC") {
		debug.SetGCPercent(garbagePercent)
	}
	if !given("GOMEMLIMIT") {
		debug.SetMemoryLimit(memoryLimit)
	}
}
