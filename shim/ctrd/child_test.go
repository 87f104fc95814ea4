package ctrd

import (
	"strings"
	"testing"
)

func TestRootChildServes(t *testing.T) {
	eachServer(t, func(t *testing.T, c *Client) {
		v, err := c.Version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(v, ".") {
			t.Errorf("version %q", v)
		}
		sn, err := c.snapshotter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("version %s, snapshotter %s", v, sn)
	})
}
