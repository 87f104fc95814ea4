package keeper

import (
	"context"
	"time"
)

// WithFolder gives a keeper another watch of the folder. The real one waits in a system call, which
// stops synctest's clock.
func (k *Keeper) WithFolder(f func(ctx context.Context, dir string, settle time.Duration, changed func()) error) *Keeper {
	k.folder = f
	return k
}

// Lock takes the right to read and change the store.
func (k *Keeper) Lock(ctx context.Context) (release func(), err error) { return k.lock(ctx) }

var WatchFolder = watchFolder
