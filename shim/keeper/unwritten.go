package keeper

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
)

// unwrittenInterval is the time between two attempts to write what the store could not write.
const unwrittenInterval = time.Second

// writeUnwritten tries to write what the store could not write, until ctx ends. While all is
// written, it sleeps.
func (k *Keeper) writeUnwritten(ctx context.Context) error {
	waits := false
	var again <-chan time.Time // nil while all is written
	for {
		switch files, _ := k.config.Store.Unwritten(); {
		case files == 0:
			if waits {
				k.config.Log.Info("the state that could not be written is on disk now")
			}
			waits, again = false, nil
		case again == nil:
			again = time.After(unwrittenInterval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.config.Store.SomeUnwritten():
			continue
		case <-again:
			again = nil
		}
		if err := k.config.Store.WriteUnwritten(); err != nil && !waits {
			k.config.Log.Warn("can't write the state, will do so when there is space: " + hint.OneLine(err.Error()))
		}
		waits = true
	}
}

// reportUnwritten warns that what was just asked for may not be on disk. progress may be nil.
func (k *Keeper) reportUnwritten(progress func(line string)) {
	files, lost := k.config.Store.Unwritten()
	if files == 0 || progress == nil {
		return
	}
	if lost != nil {
		progress("warning: the state can't be written to disk, and not to the run folder either. The daemon's end loses it: " + hint.OneLine(lost.Error()))
		return
	}
	progress("warning: the state can't be written to disk now. It is kept in the run folder, and a power cut or a boot before it is written loses it")
}
