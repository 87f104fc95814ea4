package ctrd

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/sallyport/sallyport/shim/reaper"
)

func TestMain(m *testing.M) {
	reaper.Main() // the binary of the tests is the init of their containers
	goleak.VerifyTestMain(m)
}
