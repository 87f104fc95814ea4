package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

var (
	errClosed  = errors.New("the journal is closed")
	errTooSlow = &hint.Error{
		Err:  fmt.Errorf("more than %d events were not read in time", maxWaiting),
		Hint: "run the command again: the journal has the events that were missed",
	}
)

// maxWaiting is the number of events that wait for a slow follower.
const maxWaiting = 512

// A follower is one call of Events with Follow.
type follower struct {
	query  group.EventQuery
	events chan group.Event // closed when the follower is cut off
	why    error            // why it was cut off; set before events is closed
}

// open opens the events that the journal has. With Follow it adds a follower under the same lock,
// so that no event is missed or emitted twice.
func (j *Journal) open(q group.EventQuery) (sources, *follower, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var past sources
	for _, f := range j.files() {
		r, err := f.newReader()
		if err != nil {
			return nil, nil, errors.Join(err, past.close())
		}
		past = append(past, r)
	}
	if !q.Follow {
		return past, nil, nil
	}
	follower := &follower{query: q, events: make(chan group.Event, maxWaiting)}
	j.followers[follower] = struct{}{}
	return past, follower, nil
}

func (j *Journal) unfollow(f *follower) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.followers, f)
}

// notify passes an event on to the followers, and cuts off those whose queue is full. It needs mu.
func (j *Journal) notify(e group.Event) {
	for f := range j.followers {
		if !f.query.Matches(e) {
			continue
		}
		select {
		case f.events <- e:
		default:
			j.cutOff(f, errTooSlow)
		}
	}
}

// cutOff ends a follower with an error. It needs mu.
func (j *Journal) cutOff(f *follower, why error) {
	delete(j.followers, f)
	f.why = why
	close(f.events)
}

func (f *follower) follow(ctx context.Context, emit func(group.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-f.events:
			if !ok {
				return f.why
			}
			if err := emit(e); err != nil {
				return err
			}
		}
	}
}
