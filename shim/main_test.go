package shim

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/netns/netnstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(inNetns{m}) }

// inNetns runs the tests in a throw-away network namespace, which is where root's tests of [HostNetwork] make their host.
type inNetns struct{ m *testing.M }

func (t inNetns) Run() int { return netnstest.Main(t.m) }
