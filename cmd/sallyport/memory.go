package main

import (
	"runtime/debug"
	"slices"
	"strings"
)

// The daemon is mostly idle and its live heap a few MiB, so it collects early rather than let garbage double it. The limit
// only makes the collector work harder; it ends nothing.
const (
	garbagePercent = 40
	memoryLimit    = 48 << 20 // bytes
)

// spareMemory sets what the operator has not set with GOGC and GOMEMLIMIT.
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
