package uplink

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/netnsbench"
)

func TestMain(m *testing.M) { os.Exit(netnsbench.Main(m)) }
