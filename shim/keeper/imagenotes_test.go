package keeper_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// notedImages has one note about each image of that digest.
type notedImages struct {
	digest string
	err    error
	check  error // of CheckImage
}

func (n notedImages) ImageNotes(_ context.Context, c spec.Container, digest string) ([]string, error) {
	if digest != n.digest {
		return nil, n.err
	}
	return []string{"its EXPOSE 80/tcp opens nothing"}, n.err
}

func (n notedImages) CheckImage(_ context.Context, c spec.Container, digest string) error {
	if digest != n.digest || !c.AsksImage() {
		return nil
	}
	return n.check
}

// A group whose container asks of its image what that doesn't have is refused, before anything has
// changed.
func TestImageWithoutHealthcheck(t *testing.T) {
	asks := strings.Replace(job, `app "once" {`, `app "once" {
    probe "live" { image = true }`, 1)
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t)
		images := &notedImages{digest: "sha256:old", check: host.ErrNoHealthcheck}
		h.config = func(c *keeper.Config) { c.ImageNotes = images }
		h.begin()
		defer h.end()
		h.host.SetImage("registry.example/once:1", "sha256:old")
		if _, err := h.keeper.Preview(t.Context(), bundles("job.hcl", asks)); !errors.Is(err, host.ErrNoHealthcheck) {
			t.Errorf("planned: %v", err)
		}
		if _, err := h.apply("job.hcl", asks); !errors.Is(err, host.ErrNoHealthcheck) || !strings.HasPrefix(err.Error(), "group job: ") {
			t.Errorf("applied: %v", err)
		}
		if groups := h.keeper.Groups(); len(groups) > 0 {
			t.Errorf("there is %q", groups)
		}
		images.check = nil
		if _, err := h.apply("job.hcl", asks); err != nil {
			t.Error(err)
		}
	})
}

// A plan has the notes about images that are there. An apply has them once, when its definition or
// the image is another one.
func TestNotesAboutImages(t *testing.T) {
	const note = "once (app): its EXPOSE 80/tcp opens nothing"
	for _, tt := range []struct {
		name  string
		notes keeper.ImageNotes
		want  bool
	}{
		{"read", notedImages{digest: "sha256:old"}, true},
		{"of another image", notedImages{digest: "sha256:other"}, false},
		{"unreadable", notedImages{digest: "sha256:old", err: errors.New("damaged")}, false},
		{"none", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				h.config = func(c *keeper.Config) { c.ImageNotes = tt.notes }
				h.begin()
				defer h.end()
				h.host.SetImage("registry.example/once:1", "sha256:old")
				previews, err := h.keeper.Preview(t.Context(), bundles("job.hcl", job))
				if err != nil || slices.Contains(previews[0].Image, note) != tt.want {
					t.Errorf("planned %q, %v", previews[0].Image, err)
				}
				lines, err := h.apply("job.hcl", job)
				if err != nil || slices.Contains(lines, "job: "+note) != tt.want {
					t.Errorf("applied: %q, %v", lines, err)
				}
				h.exit("job", "once", 0)
				h.wait(time.Minute)
				if lines, err := h.apply("job.hcl", job); err != nil || slices.Contains(lines, "job: "+note) {
					t.Errorf("applied again: %q, %v", lines, err)
				}
			})
		})
	}
}
