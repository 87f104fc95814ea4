package ctrd

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
)

// unusedLabel is a label of an image's manifest or index. It has since when no group uses the
// image.
const unusedLabel = "sallyport.dev/unused-since"

// MarkUnused implements [keeper.ImageStore]. By a clock that is not set yet it changes nothing.
func (c *Client) MarkUnused(ctx context.Context, sum string, since time.Time) error {
	if !since.IsZero() && since.Before(earliest) {
		return nil
	}
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	text := "" // containerd deletes the label
	if !since.IsZero() {
		text = since.UTC().Format(time.RFC3339)
	}
	_, err := c.client.ContentStore().Update(ctx, content.Info{
		Digest: digest.Digest(sum), Labels: map[string]string{unusedLabel: text},
	}, "labels."+unusedLabel)
	if err != nil && !errdefs.IsNotFound(err) {
		return c.unanswered(fmt.Errorf("note since when image %s is unused: %w", sum, err))
	}
	return nil
}

// earliest is before every mark, unless the clock was wrong.
var earliest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// markedSince returns the time of a mark. It is zero for one that can't be right, by a clock that
// was not set yet: from before there was any mark, or from before the image was made present.
func markedSince(mark string, present time.Time) time.Time {
	since, err := time.Parse(time.RFC3339, mark)
	if err != nil || since.Before(earliest) || since.Before(present.Truncate(time.Second)) {
		return time.Time{}
	}
	return since
}

// RemoveImage implements [keeper.ImageStore]. It deletes the image's names in our namespace, or
// those of names that it has. What
// nothing else refers to goes with [Client.CollectImages], or when containerd next collects garbage
// by itself. A lease, a container and another namespace keep their content.
func (c *Client) RemoveImage(ctx context.Context, sum string, names []string, unless func() bool) (removed bool, err error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	defer func() {
		if err != nil {
			err = c.unanswered(fmt.Errorf("remove image %s: %w", sum, err))
		}
	}()
	service := c.client.ImageService()
	records, err := service.List(ctx, "target.digest=="+strconv.Quote(sum))
	if err != nil {
		return false, err
	}
	keys := []string{sum}
	if len(names) > 0 {
		records = slices.DeleteFunc(records, func(r images.Image) bool { return !slices.Contains(names, r.Name) })
		keys = nil
	}
	for _, r := range records {
		keys = append(keys, r.Name)
	}
	done, free := c.holds.remove(keys)
	if !free {
		return false, nil
	}
	defer done()
	if unless() {
		return false, nil
	}
	for _, r := range records {
		now, err := service.Get(ctx, r.Name) // a containerd before 2.0 ignores the target
		if err == nil && now.Target.Digest != r.Target.Digest {
			continue // by now it is the name of another image
		}
		if err == nil {
			err = service.Delete(ctx, r.Name, images.DeleteTarget(&now.Target))
		}
		if errdefs.IsNotFound(err) {
			continue
		}
		if err != nil {
			return removed, err
		}
		c.images.drop(r.Name)
		removed = true
	}
	if removed && len(names) == 0 { // else the image is there under another name
		c.dropProofs(digest.Digest(sum))
	}
	return removed, nil
}

// drop forgets the handle of a name.
func (i *imageHandles) drop(name string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.byName, name)
}

// CollectImages implements [keeper.ImageStore]. The end of a lease is containerd's way to have its
// garbage collected at once.
func (c *Client) CollectImages(ctx context.Context) error {
	ctx, cancel := c.ctx(ctx, 0)
	defer cancel()
	_, end, err := c.leased(ctx, "sallyport-collect")
	if err != nil {
		return c.unanswered(err)
	}
	end(true)
	return nil
}
