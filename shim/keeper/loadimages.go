package keeper

import (
	"context"
	"slices"

	"github.com/sallyport/sallyport/shim/host"
)

// LoadImages makes the images of an archive present. No group changes.
func (k *Keeper) LoadImages(ctx context.Context, req host.LoadRequest) (host.LoadedImages, error) {
	loaded, err := k.config.ImageStore.LoadImages(ctx, req)
	if err != nil {
		return loaded, err
	}
	for i := range loaded.Images {
		l := &loaded.Images[i]
		for name, w := range k.allWanted() {
			for ref, pin := range w.Pins {
				if pin != l.Digest && k.config.ImageStore.ImageName(ref) == l.Image && !slices.Contains(l.Groups, name) {
					l.Groups = append(l.Groups, name)
				}
			}
		}
		slices.Sort(l.Groups)
	}
	k.pruneSoon()
	return loaded, nil
}
