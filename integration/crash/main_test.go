// Package crash kills the daemon, containerd, shims and programs, and takes disk and power away.
// The next daemon must fulfil what was requested wholly, or not at all.
package crash

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// atOnce is how many crash tests run at the same time unless -parallel is given. Most of their time
// is waiting.
const atOnce = "6"

func TestMain(m *testing.M) {
	flag.Set("test.parallel", atOnce)
	machine.Main(m, buildFailpointBinary)
}

// failpointBinary is a sallyport that kills itself at a point that a test names. The shipped one
// can't: see cmd/sallyport/failpoint.go.
var failpointBinary string

func buildFailpointBinary(dir string) error {
	if failpointBinary = os.Getenv("SALLYPORT_FAILPOINT_BIN"); failpointBinary != "" {
		return nil
	}
	failpointBinary = filepath.Join(dir, "sallyport-failpoint")
	return machine.GoBuild(failpointBinary, "cmd/sallyport", "GOFLAGS="+os.Getenv("GOFLAGS")+" -tags=failpoint")
}
