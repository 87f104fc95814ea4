//go:build failpoint

package main

import (
	"context"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/probes"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/signed"
	"github.com/sallyport/sallyport/spec"
)

// failpointProofs returns the proofs of a layout with the failpoint that the environment asks for.
// Each change of their files is a point, such as "rename proof" and "remove proof".
func failpointProofs(l layout.Layout, environ []string) *signed.Proofs {
	f, proofs := newFailpoint(environ), signed.NewProofs(l.ProofsDir())
	proofs.Disk.Before = func(op disk.Op, _ string) error {
		f.begin(string(op) + " proof")
		return nil
	}
	return proofs
}

// watch returns config with f in it. Besides the steps, these are points: each change of the
// store's files, and the calls "retain", "release", "probe", "discard", "retire", "remove image",
// "collect images" and "load images".
func (f *failpoint) watch(config keeper.Config) keeper.Config {
	if f == nil {
		return config
	}
	config.Before, config.Trace = f.beginStep, f.endStep
	config.Store.Begin, config.Store.End = f.begin, f.end
	config.Images = failpointImages{config.Images, f}
	config.Prober = failpointProber{config.Prober, f}
	config.Volumes = failpointVolumes{config.Volumes, f}
	config.Incarnations = failpointIncarnations{config.Incarnations, f}
	config.ImageStore = failpointImageStore{config.ImageStore, f}
	return config
}

type failpointImages struct {
	runner.ImageKeeper
	failpoint *failpoint
}

func (h failpointImages) Retain(ctx context.Context, group string, generation int, image host.Image) error {
	h.failpoint.begin("retain")
	defer h.failpoint.end("retain")
	return h.ImageKeeper.Retain(ctx, group, generation, image)
}

func (h failpointImages) Release(ctx context.Context, group string, generation int) error {
	h.failpoint.begin("release")
	defer h.failpoint.end("release")
	return h.ImageKeeper.Release(ctx, group, generation)
}

type failpointProber struct {
	probes.Prober
	failpoint *failpoint
}

func (p failpointProber) Probe(ctx context.Context, group, container string, probe spec.Probe) error {
	p.failpoint.begin("probe")
	defer p.failpoint.end("probe")
	return p.Prober.Probe(ctx, group, container, probe)
}

type failpointVolumes struct {
	runner.Volumes
	failpoint *failpoint
}

func (v failpointVolumes) Discard(ctx context.Context, group string) error {
	v.failpoint.begin("discard")
	defer v.failpoint.end("discard")
	return v.Volumes.Discard(ctx, group)
}

type failpointIncarnations struct {
	runner.Incarnations
	failpoint *failpoint
}

func (i failpointIncarnations) Retire(group string) error {
	i.failpoint.begin("retire")
	defer i.failpoint.end("retire")
	return i.Incarnations.Retire(group)
}

type failpointImageStore struct {
	keeper.ImageStore
	failpoint *failpoint
}

func (s failpointImageStore) RemoveImage(ctx context.Context, digest string, names []string, unless func() bool) (bool, error) {
	s.failpoint.begin("remove image")
	defer s.failpoint.end("remove image")
	return s.ImageStore.RemoveImage(ctx, digest, names, unless)
}

func (s failpointImageStore) CollectImages(ctx context.Context) error {
	s.failpoint.begin("collect images")
	defer s.failpoint.end("collect images")
	return s.ImageStore.CollectImages(ctx)
}

func (s failpointImageStore) LoadImages(ctx context.Context, req host.LoadRequest) (host.LoadedImages, error) {
	s.failpoint.begin("load images")
	defer s.failpoint.end("load images")
	return s.ImageStore.LoadImages(ctx, req)
}
