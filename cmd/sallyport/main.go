// Command sallyport runs groups of containers behind one guarded door each: one binary, with a verb for the daemon and one
// for everything an operator asks of it.
//
// What bites: the daemon's self-test starts this binary again as its probes, so main hands over to it before reading the
// command line.
package main

import "os"

func main() {
	os.Exit(run(os.Args[1:]))
}
