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
	if !isSet(environ, "GOGC") {
		debug.SetGCPercent(garbagePercent)
	}
	if !isSet(environ, "GOMEMLIMIT") {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// Most verbs end before garbage matters. Reading the command line alone makes more than the 4 MiB
// at which it would be collected, which was a third of the processor time of a short verb.
const shortGarbagePercent = 400

// spareTime applies it, except where the operator has set GOGC.
func spareTime(environ []string) {
	if !isSet(environ, "GOGC") {
		debug.SetGCPercent(shortGarbagePercent)
	}
}

// isSet reports whether the environment has that variable.
func isSet(environ []string, name string) bool {
	return slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
}
