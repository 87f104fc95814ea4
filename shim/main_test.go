package shim

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// TestMain fails on a goroutine, a descriptor, a namespace or a link that is left.
func TestMain(m *testing.M) { goleak.VerifyTestMain(netnsMain{m}) }

type netnsMain struct{ m *testing.M }

func (n netnsMain) Run() int { return netnstest.Main(n.m) }
