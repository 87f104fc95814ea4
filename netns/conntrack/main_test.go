package conntrack

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
)

func TestMain(m *testing.M) { os.Exit(netnstest.Main(m)) }
