package secrets

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// TestMain fails if a goroutine, a descriptor, a namespace or a link is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(leakChecks{m}) }

// leakChecks are the checks of netnstest. goleak wants a value with the method Run.
type leakChecks struct{ m *testing.M }

func (l leakChecks) Run() int { return netnstest.Main(l.m) }
