package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/sallyport/sallyport/shim/host"
)

// A Puller asks registries what the names of images mean by now.
type Puller interface {
	// Pull asks for the images of a group, and makes a new generation of it if one has changed.
	// progress gets one line for each thing that happens.
	Pull(ctx context.Context, group string, progress func(line string)) error
	// PullImage asks for an image. No group changes.
	PullImage(ctx context.Context, ref string) (host.PulledImage, error)
}

// Pull asks for the images of a group, and waits as Apply does if they have changed.
func (c *Client) Pull(ctx context.Context, group string, progress func(line string)) error {
	return c.steer(ctx, group, "pull", progress)
}

// PullImage asks for an image. No group changes.
func (c *Client) PullImage(ctx context.Context, ref string) (pulled host.PulledImage, err error) {
	err = c.stream(ctx, http.MethodPost, "/v1/images/pull?"+url.Values{"image": {ref}}.Encode(), nil, func(ev event) error {
		if ev.Pulled != nil {
			pulled = *ev.Pulled
		}
		return nil
	})
	return pulled, err
}

func (s *Server) pull(ctx context.Context, r *http.Request, out *stream) error {
	group := r.PathValue("group")
	if err := checkNames(group); err != nil {
		return err
	}
	if s.Puller == nil {
		return errNoRegistries
	}
	return about(s.Puller.Pull(ctx, group, out.progress), group, "")
}

func (s *Server) pullImage(ctx context.Context, r *http.Request, out *stream) error {
	if s.Puller == nil {
		return errNoRegistries
	}
	pulled, err := s.Puller.PullImage(ctx, r.FormValue("image"))
	if err != nil {
		return err
	}
	return out.send(ctx, event{Pulled: &pulled})
}

// CurrentDigest returns the digest of the image that a reference means now, at its registry or in
// its archive. The host need not have the image, and does not get it.
func (c *Client) CurrentDigest(ctx context.Context, ref string) (digest string, err error) {
	err = c.stream(ctx, http.MethodGet, "/v1/images/digest?"+url.Values{"image": {ref}}.Encode(), nil, func(ev event) error {
		if ev.Pulled != nil {
			digest = ev.Pulled.Digest
		}
		return nil
	})
	return digest, err
}

func (s *Server) currentDigest(ctx context.Context, r *http.Request, out *stream) error {
	if s.CurrentDigest == nil {
		return errNoRegistries
	}
	ref := r.FormValue("image")
	digest, err := s.CurrentDigest(ctx, ref)
	if err != nil {
		return err
	}
	return out.send(ctx, event{Pulled: &host.PulledImage{Image: ref, Digest: digest}})
}
