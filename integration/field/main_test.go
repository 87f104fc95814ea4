// Package field holds thirty groups that look like what people publish, and runs twenty-one of them
// with Debian's programs. Every one is read and planned by the unit tests. `make test-field` builds
// the images and runs the twenty-one.
package field

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

// TestMain names the program under test. Nothing else has to be built, as for other integration
// tests.
func TestMain(m *testing.M) {
	machine.Binary = os.Getenv("SALLYPORT_BIN")
	os.Exit(m.Run())
}
