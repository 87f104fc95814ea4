// Command sallyport runs groups of containers behind one guarded door each: one binary, with a verb for the daemon and one
// for everything an operator asks of it.
//
// What bites: the self-test of the rules starts this binary again as its probes, so main hands over to them before it reads
// the command line.
package main

import (
	"os"

	"github.com/sallyport/sallyport/netns/helper"
)

func main() {
	helper.Main()
	os.Exit(run(os.Args[1:]))
}
