// Package crash kills the daemon, containerd, shims and programs, and takes disk and power away.
// The next daemon must make all of what was asked for, or nothing of it.
package crash

import (
	"flag"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// atOnce is how many crash tests run at the same time, unless -parallel is given: most of their time is waiting.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Set("test.parallel", atOnce)
	machine.Main(m)
}
