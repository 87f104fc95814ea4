package egress

import (
	"os"
	"testing"

	"github.com/sallyport/sallyport/netns/probe"
)

func TestMain(m *testing.M) {
	probe.Main()
	os.Exit(m.Run())
}

func TestRootSelfTest(t *testing.T) {
	if err := SelfTest(t.Context(), "/sptest"); err != nil {
		t.Fatal(err)
	}
}
