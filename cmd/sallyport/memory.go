package main

import (
	"runtime/debug"
	"slices"
	"strings"
)

// The daemon is mostly idle, and its live heap has a few MiB. So it collects garbage early, before
// garbage doubles the heap. While it starts it collects later, because the first look at all groups
// makes much garbage; as late as a short verb would leave a scattered heap behind. There is no
// limit of memory: the live heap grows with the groups, and close to a limit the collector takes
// half of the processor.
const (
	garbagePercent      = 40
	startGarbagePercent = 100
)

// spareStart applies the value for the daemon's start, except where the operator has set GOGC.
func spareStart(environ []string) { collectAt(startGarbagePercent, environ) }

// spareMemory is [spareStart] for what follows the start. It gives back what that needed.
func spareMemory(environ []string) {
	collectAt(garbagePercent, environ)
	debug.FreeOSMemory()
}

// Most verbs end before garbage matters. Reading the command line alone makes more than the 4 MiB
// at which it would be collected, which was a third of the processor time of a short verb.
const shortGarbagePercent = 400

// spareTime applies it, except where the operator has set GOGC.
func spareTime(environ []string) { collectAt(shortGarbagePercent, environ) }

func collectAt(percent int, environ []string) {
	if !isSet(environ, "GOGC") {
		debug.SetGCPercent(percent)
	}
}

// isSet reports whether the environment has that variable.
func isSet(environ []string, name string) bool {
	return slices.ContainsFunc(environ, func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
}
