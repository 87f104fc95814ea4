package main

import (
	"github.com/sallyport/sallyport/shim/config"
	"github.com/sallyport/sallyport/shim/prune"
)

// imageFlags are the daemon's limits of images.
type imageFlags struct {
	ImagesUnused string `default:"never" placeholder:"TIME" env:"SALLYPORT_IMAGES_UNUSED" help:"How long an image stays that no group uses, or never: none is removed because of its age (default never)."`
	ImagesTotal  string `default:"unlimited" placeholder:"SIZE" env:"SALLYPORT_IMAGES_TOTAL" help:"How much all images may take before unused ones are removed (default unlimited)."`
}

// images returns the limits of images. They are sound: [instance.settings] has checked them.
func (s settings) images() (l prune.Limits) {
	l.Unused, _ = config.ImagesUnused(s.flags.ImagesUnused)
	total, _ := config.ImagesTotal(s.flags.ImagesTotal)
	l.Total = uint64(total)
	return l
}
