package journal

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

var (
	errJournalClosed = errors.New("the journal is closed")
	errTooSlow       = &hint.Error{
		Err:  fmt.Errorf("more than %d events happened that were not read", waitingEvents),
		Hint: "what was missed is in the journal: ask again",
	}
)

// waitingEvents is how many events wait for one who follows and is slow to read.
const waitingEvents = 512

// An eventWatcher is one who follows the journal.
type eventWatcher struct {
	query  group.EventQuery
	events chan group.Event // closed when it was cut off
	why    error            // it was cut off; set before events is closed
}

// open opens what there is, and with Follow begins to watch in the same moment, so that nothing is missed or told twice.
func (j *Journal) open(q group.EventQuery) (eventHistory, *eventWatcher, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var past eventHistory
	for _, f := range []*eventFile{j.denials, j.others} {
		r, err := f.read()
		if err != nil {
			return nil, nil, errors.Join(err, past.close())
		}
		past = append(past, r)
	}
	if !q.Follow {
		return past, nil, nil
	}
	w := &eventWatcher{query: q, events: make(chan group.Event, waitingEvents)}
	j.watchers[w] = struct{}{}
	return past, w, nil
}

func (j *Journal) forget(w *eventWatcher) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.watchers, w)
}

// tell passes an event on and waits for nobody. It needs mu.
func (j *Journal) tell(e group.Event) {
	for w := range j.watchers {
		if !w.query.Matches(e) {
			continue
		}
		select {
		case w.events <- e:
		default:
			j.cutOff(w, errTooSlow)
		}
	}
}

// cutOff needs mu.
func (j *Journal) cutOff(w *eventWatcher, why error) {
	delete(j.watchers, w)
	w.why = why
	close(w.events)
}

func (w *eventWatcher) follow(ctx context.Context, emit func(group.Event) error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.events:
			if !ok {
				return w.why
			}
			if err := emit(e); err != nil {
				return err
			}
		}
	}
}
