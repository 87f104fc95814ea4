package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/host"
)

func someImages() host.Images {
	return host.Images{CanFree: 90 * mebibyte, All: []host.ImageUsage{
		{Names: []string{"web:1"}, Digest: "sha256:0123456789abcdef", Own: 100 * mebibyte, Common: 30 * mebibyte, Groups: []string{"batch", "shop"}},
		{Names: []string{"old:1"}, Digest: "sha256:fedcba9876543210", Own: 90 * mebibyte, Common: 30 * mebibyte, Unused: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)},
		{Names: []string{"mine:1"}, Digest: "sha256:00000000000000000", Own: mebibyte, Kept: host.KeptByHand},
	}}
}

func TestWriteImages(t *testing.T) {
	var out bytes.Buffer
	if err := writeImages(&out, someImages()); err != nil {
		t.Fatal(err)
	}
	const want = `
IMAGE   DIGEST               SIZE    OWN     UNUSED SINCE         GROUPS
web:1   sha256:0123456789ab  130MiB  100MiB  -                    batch,shop
old:1   sha256:fedcba987654  120MiB  90MiB   2026-01-02 03:04:05  -
mine:1  sha256:000000000000  1MiB    1MiB    -                    -
  it stays: it was brought by hand, and no group has used it by that name yet
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestImagesFound(t *testing.T) {
	limited := api.Configuration{Settings: []api.Setting{{Name: "images.unused", Value: "168h"}, {Name: "images.total", Value: "unlimited"}}}
	for _, tt := range []struct {
		name   string
		images host.Images
		conf   api.Configuration
		want   result
	}{
		{"all are used", host.Images{}, api.Configuration{}, result{Name: "images", OK: true, Found: "each is used by a group or kept"}},
		{"without limits", someImages(), api.Configuration{Settings: []api.Setting{{Name: "images.unused", Value: "never"}}}, result{
			Name: "images", OK: true, Note: true, Found: `no group uses 1 image: "sallyport images prune" frees 90MiB`,
			Hint: `the daemon does it by itself with limits in sallyport.hcl: images { unused = "30d" }`,
		}},
		{"with a limit", someImages(), limited, result{Name: "images", OK: true, Found: `90MiB can be freed; the daemon removes them by images.unused = "168h"`}},
	} {
		if diff := cmp.Diff(tt.want, imagesFound(tt.images, limitsOf(tt.conf))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
