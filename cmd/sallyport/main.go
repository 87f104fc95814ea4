// Command sallyport runs groups of containers, each behind its ambassador. The one binary has a
// verb for the daemon and the operator's verbs.
//
// Pitfall: the self-test of the rules starts this binary again for its helper processes. So
// main calls helper.Main before it reads the command line. So does the first process of a container
// with `init = true`, and main calls reaper.Main.
//
// The Go runtime would look at the processor limits of its cgroup once a second, whenever a timer
// or an event wakes the process. The limits of the start will do.
//
//go:debug updatemaxprocs=0
package main

import (
	"os"

	"github.com/sallyport/sallyport/netns/helper"
	"github.com/sallyport/sallyport/shim/reaper"
)

func main() {
	helper.Main()
	reaper.Main()
	spareTime(os.Environ())
	os.Exit(run(os.Args[1:], newUI(os.Stdin, os.Stdout, os.Stderr, os.Environ())))
}
