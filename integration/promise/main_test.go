// Package promise attacks the promise: only the ambassador's processes exchange packets with
// anything outside the group. It runs the built binary against a real containerd, a real runc and
// the real kernel. MATRIX.md lists all attempts.
package promise

import (
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

func TestMain(m *testing.M) { machine.Main(m) }
