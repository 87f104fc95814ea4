package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type pullVerb struct {
	What []string `arg:"" name:"group|image" help:"A group, for all of its images, or an image with its tag: registry.example/app:1."`
	JSON bool     `name:"json" help:"Print JSON."`
}

// A pulled has the outcome of pull for one argument: of a group, or of an image.
type pulled struct {
	Group *change           `json:"group,omitempty"`
	Image *host.PulledImage `json:"image,omitempty"`
}

// Run asks the registries for one argument after the other. It ends at the first that fails.
func (v *pullVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	groups, err := client.Status(ctx, "")
	if err != nil {
		return err
	}
	all := []pulled{}
	for _, what := range v.What {
		var done pulled
		i := slices.IndexFunc(groups, func(g group.Status) bool { return g.Name == what })
		switch {
		case i >= 0:
			done.Group, err = v.group(ctx, ui, client, groups[i])
		case strings.ContainsAny(what, ":/@"):
			done.Image, err = v.image(ctx, ui, client, what)
		default:
			err = &hint.Error{Err: fmt.Errorf("group %q: %w", what, group.ErrNoGroup), Hint: "an image is named with its tag: " + what + ":latest"}
		}
		if err != nil {
			break
		}
		all = append(all, done)
	}
	if v.JSON {
		if failed := ui.json(all); err == nil {
			err = failed
		}
	}
	return err
}

// pull is the verb pull for images alone. So a name without a tag is no group, and means "latest".
func (v *imagesVerb) pull(ctx context.Context, ui *ui, client *api.Client) (err error) {
	all := []pulled{}
	for _, ref := range v.What {
		var done pulled
		if done.Image, err = (&pullVerb{JSON: v.JSON}).image(ctx, ui, client, ref); err != nil {
			break
		}
		all = append(all, done)
	}
	if v.JSON {
		if failed := ui.json(all); err == nil {
			err = failed
		}
	}
	return err
}

func (v *pullVerb) group(ctx context.Context, ui *ui, client *api.Client, before group.Status) (*change, error) {
	began := ui.now()
	progress := ui.wait("for the registries of " + before.Name)
	err := client.Pull(progress.watch(ctx), before.Name, progress.line)
	if progress.end(); err != nil {
		return nil, interrupted(ctx, err, goesOn)
	}
	now, err := client.Status(ctx, before.Name)
	if err != nil || len(now) == 0 {
		return nil, interrupted(ctx, err, goesOn)
	}
	g, took := now[0], ui.now().Sub(began).Round(time.Millisecond)
	done := changed(g, took)
	switch {
	case v.JSON:
	case g.Generation == before.Generation:
		ui.sayf("%s stays %s with generation %d: no image has changed", g.Name, g.State, g.Generation)
	default:
		ui.sayf("%s is %s with the images that its names mean now (generation %d, %s)", g.Name, g.State, g.Generation, took)
		noteTrial(ui, g)
	}
	return &done, nil
}

func (v *pullVerb) image(ctx context.Context, ui *ui, client *api.Client, ref string) (*host.PulledImage, error) {
	progress := ui.wait("for the registry of " + ref)
	done, err := client.PullImage(progress.watch(ctx), ref)
	if progress.end(); err != nil {
		return nil, interrupted(ctx, err, "the next pull goes on where this one stopped")
	}
	now := spec.ShortDigest(done.Digest)
	switch {
	case v.JSON:
	case done.Before == "":
		ui.sayf("%s is %s", ref, now)
	case done.Before == done.Digest:
		ui.sayf("%s is %s still", ref, now)
	default:
		ui.sayf("%s is %s now, and was %s", ref, now, spec.ShortDigest(done.Before))
	}
	if !v.JSON && len(done.Groups) > 0 {
		ui.notef("%s goes on with another one; \"sallyport pull %s\" brings this one", strings.Join(done.Groups, ", "), done.Groups[0])
	}
	return &done, nil
}
