package keeper

import "context"

// A Watcher reports changes that call for a reconciliation of a group. Watch blocks until ctx ends,
// and reconnects by itself. It calls changed with a group's name, or with "" for every group, after
// it has reconnected.
type Watcher interface {
	Watch(ctx context.Context, changed func(group string)) error
}
