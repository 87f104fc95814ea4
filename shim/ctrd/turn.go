package ctrd

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// execsAtOnce is how many processes may be started at once by one shim. More take longer all
	// together: each start runs the OCI runtime, and the shim waits for some of its steps alone.
	execsAtOnce = 4
	// makesAtOnce is how many containers may be created or started at once by one shim. With a
	// shim for the whole host, the last of 200 groups that were applied at once had to wait for a
	// minute.
	makesAtOnce = 8
	// turnWait bounds the wait of a container for its turn, so that shims that hang delay others no
	// longer. Its group tries again later.
	turnWait = 5 * time.Minute
)

// makeTurn waits until a container may be created or started by the shim of its group.
func (c *Client) makeTurn(ctx context.Context, group string) (release func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, turnWait)
	defer cancel()
	return c.makes.take(ctx, c.shimGroup(group))
}

// turns let the processes of a shim be started in the order in which they were asked for. The
// others wait, as long as their callers do.
type turns struct {
	atOnce int64
	mu     sync.Mutex
	queues map[string]*turnQueue // by group of containers that share a shim
}

type turnQueue struct {
	turns *semaphore.Weighted
	users int // those that wait and those that have their turn; under the mutex of turns
}

// take waits for a turn. The caller ends it with release, once. If ctx ends before, the error has
// how many were ahead.
func (t *turns) take(ctx context.Context, group string) (release func(), err error) {
	q, ahead := t.join(group)
	if err := q.turns.Acquire(ctx, 1); err != nil {
		t.leave(group)
		return nil, fmt.Errorf("while it waited for %d others of the same shim: %w", ahead, err)
	}
	return sync.OnceFunc(func() {
		q.turns.Release(1)
		t.leave(group)
	}), nil
}

// join returns the group's queue, and how many are in it.
func (t *turns) join(group string) (q *turnQueue, ahead int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q = t.queues[group]; q == nil {
		q = &turnQueue{turns: semaphore.NewWeighted(t.atOnce)}
		if t.queues == nil {
			t.queues = map[string]*turnQueue{}
		}
		t.queues[group] = q
	}
	q.users++
	return q, q.users - 1
}

func (t *turns) leave(group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[group]; q.users == 1 {
		delete(t.queues, group)
	} else {
		q.users--
	}
}
