package keeper

import (
	"context"

	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// lock waits until Run has loaded the group files, and takes the right to read and change the
// store. release gives the right back.
func (k *Keeper) lock(ctx context.Context) (release func(), err error) {
	if err := k.waitLoaded(ctx); err != nil {
		return nil, err
	}
	return k.lockKnown(ctx)
}

// lockKnown is lock as soon as the groups of the state folder are known.
func (k *Keeper) lockKnown(ctx context.Context) (release func(), err error) {
	if err := k.waitKnown(ctx); err != nil {
		return nil, err
	}
	select {
	case k.storeLock <- struct{}{}:
		return func() { <-k.storeLock }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-k.stopped:
		return nil, runner.ErrStopping
	}
}

func (k *Keeper) waitKnown(ctx context.Context) error {
	select {
	case <-k.known:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-k.stopped:
		return runner.ErrStopping
	}
}

// lockRead is lock, after files of the folder were read. The reading is current: the store has not
// changed them since.
func (k *Keeper) lockRead(ctx context.Context, files ...string) (r store.Reading, release func(), err error) {
	return k.lockAfter(ctx, func() (store.Reading, error) { return k.config.Store.ReadFiles(ctx, files...) })
}

func (k *Keeper) lockAfter(ctx context.Context, read func() (store.Reading, error)) (r store.Reading, release func(), err error) {
	if err := k.waitLoaded(ctx); err != nil {
		return r, nil, err
	}
	for {
		if r, err = read(); err != nil {
			return r, nil, err
		}
		if release, err = k.lock(ctx); err != nil || k.config.Store.Current(r) {
			return r, release, err
		}
		release()
	}
}

// lockGroup is lockRead for the file of a group. If the group is unknown, it reads the whole
// folder.
func (k *Keeper) lockGroup(ctx context.Context, name string) (r store.Reading, release func(), err error) {
	if err := k.waitLoaded(ctx); err != nil {
		return r, nil, err
	}
	for {
		file := k.wantedNow(name).File
		if file == "" {
			r, release, err = k.lockAfter(ctx, func() (store.Reading, error) { return k.config.Store.ReadFolder(ctx) })
		} else {
			r, release, err = k.lockRead(ctx, file)
		}
		if err != nil || k.wantedNow(name).File == file {
			return r, release, err
		}
		release()
	}
}
