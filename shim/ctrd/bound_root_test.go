package ctrd

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// A bound is set on an empty layer, before any program has run. It is taken from a layer that is
// about to be deleted.
func TestRootLayersAreBoundedEmpty(t *testing.T) {
	path := busyboxArchive(t)
	eachServer(t, func(t *testing.T, c *Client) {
		bounded, free := script("bounded", spec.App, "echo x > /x; sleep 1000"), script("free", spec.App, "sleep 1000")
		bounded.Resources.Disk = 7 << 20
		r := newHarness(t, c, path, bounded, free)
		var got []host.Layer
		c.cfg.BoundLayer = func(_ context.Context, bytes int64, l host.Layer) error {
			entries, err := os.ReadDir(l.Path)
			work, errWork := os.ReadDir(l.Work)
			if got = append(got, l); bytes != 7<<20 || l.Container != "bounded" || len(entries)+len(work) > 0 || errors.Join(err, errWork) != nil {
				t.Errorf("%d bytes for %+v with %v and %v, errors %v, %v", bytes, l, entries, work, err, errWork)
			}
			return nil
		}
		r.run()
		layers, err := c.GroupLayers(r.ctx(), "g")
		if err != nil || len(layers) != 2 || len(got) != 1 || layers[0].Path != got[0].Path || layers[0].Work != got[0].Work {
			t.Errorf("layers %+v, error %v; bounded was %+v", layers, err, got)
		}
		if others, err := c.GroupLayers(r.ctx(), "other"); err != nil || len(others) > 0 {
			t.Errorf("another group's: %+v, error %v", others, err)
		}

		var lifted []string
		c.cfg.BoundLayer = func(_ context.Context, bytes int64, l host.Layer) error {
			entries, err := os.ReadDir(l.Path)
			if lifted = append(lifted, l.Path); bytes != 0 || l.Work == "" || err != nil || l.Path == got[0].Path && len(entries) == 0 {
				t.Errorf("%d bytes for %+v with %v, error %v", bytes, l, entries, err)
			}
			return nil
		}
		r.removeAll()
		if !slices.Contains(lifted, got[0].Path) {
			t.Errorf("a removed layer keeps its limit; lifted are %q", lifted)
		}
		boom := errors.New("boom")
		c.cfg.BoundLayer = func(context.Context, int64, host.Layer) error { return boom }
		if err := c.Create(t.Context(), r.request("bounded")); !errors.Is(err, boom) {
			t.Errorf("without its bound it is made: %v", err)
		}
	})
}
