package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"

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

// RemoveImages removes images by their names or digests, and frees their room. It calls each with
// every one that is removed. Nothing is removed if one of them is in use.
func (c *Client) RemoveImages(ctx context.Context, names []string, each func(host.ImageRemoval)) error {
	query := url.Values{"image": names}
	return c.stream(ctx, http.MethodDelete, "/v1/images?"+query.Encode(), nil, func(ev event) error {
		if ev.Image != nil {
			each(*ev.Image)
		}
		return nil
	})
}

// LoadImages makes the images of an archive present on the daemon's host. It sends the Content, and
// otherwise the daemon reads what is at the path.
func (c *Client) LoadImages(ctx context.Context, req host.LoadRequest) (loaded host.LoadedImages, err error) {
	query := url.Values{}
	if req.Name != "" {
		query.Set("name", req.Name)
	}
	var body any
	if req.Content != nil {
		body = req.Content
	} else {
		query.Set("path", req.Path)
	}
	err = c.stream(ctx, http.MethodPost, "/v1/images/load?"+query.Encode(), body, func(ev event) error {
		if ev.Loaded != nil {
			loaded = *ev.Loaded
		}
		return nil
	})
	return loaded, err
}

func (s *Server) removeImages(ctx context.Context, r *http.Request, out *stream) error {
	names := r.URL.Query()["image"]
	if len(names) == 0 {
		return &badRequest{errors.New("no image is named"), http.StatusBadRequest}
	}
	if s.RemoveImages == nil {
		return errNoImages
	}
	return s.RemoveImages(ctx, names, func(removal host.ImageRemoval) {
		_ = out.send(ctx, event{Image: &removal}) // one who doesn't listen any more wants it all the same
	})
}

func (s *Server) loadImages(ctx context.Context, r *http.Request, out *stream) error {
	query := r.URL.Query()
	req := host.LoadRequest{Path: query.Get("path"), Name: query.Get("name")}
	switch {
	case req.Path == "":
		req.Content = r.Body
	case !filepath.IsAbs(req.Path):
		return &badRequest{fmt.Errorf("path %q is not absolute", req.Path), http.StatusBadRequest}
	default: // net/http notices a disconnected caller only after the end of the body
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(nil, r.Body, 1))
	}
	if s.LoadImages == nil {
		return errNoImages
	}
	loaded, err := s.LoadImages(ctx, req)
	if err != nil {
		return err
	}
	return out.send(ctx, event{Loaded: &loaded})
}

var errNoImages = errors.New("this daemon keeps no images")
