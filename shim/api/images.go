package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/shim/host"
)

// A PruneRequest asks for the removal of all images that nothing uses.
type PruneRequest struct {
	DryRun bool // nothing is removed
	ByHand bool // those too that others have brought and no group has used yet
}

// Images returns the images on the host, and who uses them. A daemon of an earlier version returns
// an error.
func (c *Client) Images(ctx context.Context) (host.Images, error) {
	var body imagesBody
	err := c.ask(ctx, http.MethodGet, "/v1/images", nil, &body)
	return body.Images, err
}

// PruneImages removes the images that nothing uses, and frees their room. It calls each with every
// one that is removed, or would be.
func (c *Client) PruneImages(ctx context.Context, req PruneRequest, each func(host.ImageRemoval)) error {
	query := url.Values{}
	for name, set := range map[string]bool{"dry_run": req.DryRun, "by_hand": req.ByHand} {
		if set {
			query.Set(name, "true")
		}
	}
	return c.stream(ctx, http.MethodPost, "/v1/images/prune?"+query.Encode(), nil, func(ev event) error {
		if ev.Image != nil {
			each(*ev.Image)
		}
		return nil
	})
}

func (s *Server) listImages(r *http.Request) (any, error) {
	var body imagesBody
	var err error
	if s.Images != nil {
		body.Images, err = s.Images(r.Context())
	}
	if body.Images.All == nil {
		body.Images.All = []host.ImageUsage{}
	}
	return body, err
}

func (s *Server) pruneImages(ctx context.Context, r *http.Request, out *stream) error {
	query := r.URL.Query()
	dryRun, err := parseBool(query, "dry_run")
	if err != nil {
		return err
	}
	byHand, err := parseBool(query, "by_hand")
	if err != nil || s.PruneImages == nil {
		return err
	}
	return s.PruneImages(ctx, PruneRequest{DryRun: dryRun, ByHand: byHand}, func(removal host.ImageRemoval) {
		_ = out.send(ctx, event{Image: &removal}) // one who doesn't listen any more wants it all the same
	})
}
