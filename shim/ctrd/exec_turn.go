package ctrd

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
)

// execsAtOnce is how many processes may be started at once by one shim. More take longer all
// together: each start runs the OCI runtime, and the shim waits for some of its steps alone.
const execsAtOnce = 4

// execTurns lets exec'd processes be started in the order in which they were asked for. The others
// wait, as long as their callers do.
type execTurns struct {
	mu     sync.Mutex
	queues map[string]*execQueue // by group of containers that share a shim
}

type execQueue struct {
	turns *semaphore.Weighted
	users int // those that wait and those that have their turn; under the mutex of execTurns
}

// take waits for a turn. The caller ends it with release, once. If ctx ends before, the error has
// how many were ahead.
func (t *execTurns) take(ctx context.Context, group string) (release func(), err error) {
	q, ahead := t.join(group)
	if err := q.turns.Acquire(ctx, 1); err != nil {
		t.leave(group)
		return nil, fmt.Errorf("while it waited for %d others in the group to start: %w", ahead, err)
	}
	return sync.OnceFunc(func() {
		q.turns.Release(1)
		t.leave(group)
	}), nil
}

// join returns the group's queue, and how many are in it.
func (t *execTurns) join(group string) (q *execQueue, ahead int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q = t.queues[group]; q == nil {
		q = &execQueue{turns: semaphore.NewWeighted(execsAtOnce)}
		if t.queues == nil {
			t.queues = map[string]*execQueue{}
		}
		t.queues[group] = q
	}
	q.users++
	return q, q.users - 1
}

func (t *execTurns) leave(group string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q := t.queues[group]; q.users == 1 {
		delete(t.queues, group)
	} else {
		q.users--
	}
}
