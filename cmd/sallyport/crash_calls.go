package main

import (
	"context"

	"github.com/sallyport/sallyport/shim"
	"github.com/sallyport/sallyport/spec"
)

// watch has a crash wait for what is no step: each change of the store's files, and "hold", "release", "probe" and "discard".
func (c *crash) watch(config shim.RunnerConfig) shim.RunnerConfig {
	if c == nil {
		return config
	}
	config.Before, config.Trace = c.beginStep, c.endStep
	config.Store.Begin, config.Store.End = c.begin, c.end
	config.Images = crashImages{config.Images, c}
	config.Prober = crashProber{config.Prober, c}
	config.Volumes = crashVolumes{config.Volumes, c}
	return config
}

type crashImages struct {
	shim.ImageKeeper
	crash *crash
}

func (h crashImages) Retain(ctx context.Context, group string, generation int, image shim.Image) error {
	h.crash.begin("hold")
	defer h.crash.end("hold")
	return h.ImageKeeper.Retain(ctx, group, generation, image)
}

func (h crashImages) Release(ctx context.Context, group string, generation int) error {
	h.crash.begin("release")
	defer h.crash.end("release")
	return h.ImageKeeper.Release(ctx, group, generation)
}

type crashProber struct {
	shim.Prober
	crash *crash
}

func (p crashProber) Probe(ctx context.Context, group, container string, probe spec.Probe) error {
	p.crash.begin("probe")
	defer p.crash.end("probe")
	return p.Prober.Probe(ctx, group, container, probe)
}

type crashVolumes struct {
	shim.Volumes
	crash *crash
}

func (v crashVolumes) Discard(ctx context.Context, group string) error {
	v.crash.begin("discard")
	defer v.crash.end("discard")
	return v.Volumes.Discard(ctx, group)
}
