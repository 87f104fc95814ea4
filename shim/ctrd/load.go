package ctrd

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"

	"github.com/sallyport/sallyport/shim/ctrd/archive"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// LoadImages implements [keeper.ImageStore]. The names come last, when all images are present and
// unpacked: a daemon that is killed before has named none, and containerd frees within a day what
// was written. One load runs at a time, since each may need room for an unpacked archive.
func (c *Client) LoadImages(ctx context.Context, req host.LoadRequest) (loaded host.LoadedImages, err error) {
	defer c.explain(ctx, "", &err)
	select {
	case c.loading <- struct{}{}:
		defer func() { <-c.loading }()
	case <-ctx.Done():
		return loaded, context.Cause(ctx)
	}
	shown := req.Path
	if req.Content != nil {
		shown = "standard input"
	}
	_, err = c.pulls.do(ctx, "load", shown, func(ctx context.Context) (host.Image, error) {
		ctx, cancel := c.ctx(ctx, 0)
		defer cancel()
		var err error
		loaded, err = c.load(ctx, req, shown)
		return host.Image{}, c.unanswered(err)
	})
	return loaded, err
}

func (c *Client) load(ctx context.Context, req host.LoadRequest, shown string) (loaded host.LoadedImages, err error) {
	moved := transferOf(ctx)
	moved.enter(host.Importing)
	a, err := c.openArchive(ctx, req, shown)
	if err != nil {
		return loaded, err
	}
	defer a.Close()
	all, err := a.Images(ctx, platforms.Default())
	if err != nil {
		return loaded, err
	}
	if all, loaded.Skipped, err = toLoad(all, req.Name, shown); err != nil {
		return loaded, err
	}
	for _, n := range all {
		for _, b := range n.Image.Blobs {
			moved.expect(b.Desc)
		}
	}
	var ends []func(drop bool)
	defer func() {
		for _, end := range ends {
			end(err != nil)
		}
	}()
	var records []images.Image
	for _, n := range all {
		lctx, end, err := c.leased(ctx, "sallyport-load-"+n.Image.Root.Digest.Encoded())
		if err != nil {
			return loaded, err
		}
		ends = append(ends, end)
		record := images.Image{Name: n.Names[0], Target: bare(n.Image.Root)}
		if _, err := c.importContent(lctx, a, n.Image, record); err != nil {
			return loaded, err
		}
		for _, record.Name = range n.Names {
			records = append(records, record)
		}
	}
	for _, r := range records {
		done := host.LoadedImage{Image: r.Name, Digest: r.Target.Digest.String()}
		if done.Before, err = c.meant(ctx, r.Name); err != nil {
			return loaded, err
		}
		if err := c.putImage(ctx, r); err != nil {
			return loaded, err
		}
		loaded.Images = append(loaded.Images, done)
		c.log.Info("loaded an image", "image", r.Name, "archive", shown, "digest", done.Digest)
	}
	return loaded, nil
}

func (c *Client) openArchive(ctx context.Context, req host.LoadRequest, shown string) (*archive.Archive, error) {
	if req.Content != nil {
		return archive.OpenStream(ctx, req.Content, shown, c.cfg.Layout.StateDir)
	}
	at, err := archive.Find(ctx, req.Path)
	if err != nil {
		return nil, err
	}
	return archive.Open(ctx, at, c.cfg.Layout.StateDir)
}

// toLoad returns the images of an archive that are loaded, with their names. skipped has those for
// other platforms, in words.
func toLoad(found []archive.Named, name, shown string) (all []archive.Named, skipped []string, err error) {
	for _, n := range found {
		if n.Image == nil {
			skipped = append(skipped, fmt.Sprintf("%s is for %s", n.Shown, n.Only))
			continue
		}
		all = append(all, n)
	}
	here := platforms.Format(platforms.DefaultSpec())
	if len(all) == 0 {
		return nil, nil, &hint.Error{
			Err:  fmt.Errorf("archive %s has no image for %s: %s", shown, here, strings.Join(skipped, ", ")),
			Hint: "build or save the image for this host's platform",
		}
	}
	if name != "" {
		if len(all) > 1 {
			return nil, nil, &hint.Error{
				Err:  fmt.Errorf("archive %s has %d images, and --name names one", shown, len(all)),
				Hint: fmt.Sprintf("write which behind the path: %s:%s", shown, all[0].Shown),
			}
		}
		full, err := archive.CompleteName(name)
		all[0].Names = []string{full}
		return all, skipped, err
	}
	if i := slices.IndexFunc(all, func(n archive.Named) bool { return len(n.Names) == 0 }); i >= 0 {
		place := shown
		if len(all) > 1 {
			place += ":" + all[i].Shown
		}
		return nil, nil, &hint.Error{
			Err:  fmt.Errorf("archive %s has an image without a name, %s", shown, all[i].Shown),
			Hint: fmt.Sprintf("give it one: sallyport images load %s --name app:1", place),
		}
	}
	by := map[string]string{}
	for _, n := range all {
		for _, name := range n.Names {
			if by[name] != "" {
				return nil, nil, &hint.Error{
					Err:  fmt.Errorf("archive %s has two images with the name %s", shown, name),
					Hint: "write which behind the path, by its position: " + shown + ":@0",
				}
			}
			by[name] = n.Shown
		}
	}
	return all, skipped, nil
}

// meant returns the digest of the image that has a name. It is empty if none has.
func (c *Client) meant(ctx context.Context, name string) (string, error) {
	ctx, cancel := c.ctx(ctx, callTimeout)
	defer cancel()
	record, err := c.client.ImageService().Get(ctx, name)
	if err != nil && !errdefs.IsNotFound(err) {
		return "", fmt.Errorf("image %s: %w", name, err)
	}
	return record.Target.Digest.String(), nil
}
