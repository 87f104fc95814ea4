// Package life takes groups through the commands of an operator, from apply to removal, with the
// built binary on a real containerd and runc. Its benchmarks measure how long that takes.
package life

import (
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
)

func TestMain(m *testing.M) { machine.Main(m) }
