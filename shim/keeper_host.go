package shim

import "context"

// Watcher tells of changes that call for a new look at a group. Watch blocks until ctx ends, reconnecting by itself, and
// calls changed with a group's name, or "" for every group (after a reconnect).
type Watcher interface {
	Watch(ctx context.Context, changed func(group string)) error
}
