package keeper

import (
	"context"
	"time"
)

// WithFolder gives a keeper another watch of the folder. The real one waits in a system call, which
// stops synctest's clock.
func (k *Keeper) WithFolder(f func(ctx context.Context, dir string, settle time.Duration, changed func()) error) *Keeper {
	k.folder = func(ctx context.Context, dir string, settle time.Duration, changed func([]string)) error {
		return f(ctx, dir, settle, func() { changed(nil) })
	}
	return k
}

// Lock takes the right to read and change the store.
func (k *Keeper) Lock(ctx context.Context) (release func(), err error) { return k.lock(ctx) }

// WatchFolder watches a folder, and passes on only that something has changed.
func WatchFolder(ctx context.Context, dir string, settle time.Duration, changed func()) error {
	return watchFolder(ctx, dir, settle, func([]string) { changed() })
}

// WatchNames watches a folder.
var WatchNames = watchFolder

// AnyBounded reports whether bounds are looked at.
func (k *Keeper) AnyBounded() bool { return k.anyBounded() }
