package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"

	"github.com/sallyport/sallyport/shim/host"
)

// queued is the number of events that may wait for a caller that doesn't read.
const queued = 1024

var (
	errGone = errors.New("the caller disconnected")
	errSlow = errors.New("the caller does not read its events")
)

// A stream sends events to a caller from a goroutine of its own. The work that causes the events
// must not wait for a paused terminal.
type stream struct {
	w      http.ResponseWriter
	flush  func() error
	cancel context.CancelCauseFunc // ends the work when the caller is gone
	events chan event
	done   chan struct{} // closed when the goroutine has ended; then finish owns the fields below

	begun  bool // an event was written
	broken bool // writing has failed

	mu     sync.Mutex
	closed bool // guarded by mu: progress is ignored
}

func newStream(w http.ResponseWriter, cancel context.CancelCauseFunc) *stream {
	s := &stream{
		w: w, flush: http.NewResponseController(w).Flush, cancel: cancel,
		events: make(chan event, queued), done: make(chan struct{}),
	}
	go s.run()
	return s
}

func (s *stream) run() {
	defer close(s.done)
	for ev := range s.events {
		if s.broken {
			continue
		}
		s.write(ev, len(s.events) == 0)
	}
}

// write writes an event. Without flush it may be sent together with later ones.
func (s *stream) write(ev event, flush bool) {
	if !s.begun {
		s.w.Header().Set("Content-Type", "application/x-ndjson")
		s.begun = true
	}
	err := json.NewEncoder(s.w).Encode(ev)
	if err == nil && flush {
		err = s.flush()
	}
	if err != nil {
		s.broken = true
		s.cancel(errGone)
	}
}

// progress sends a line of progress and never waits. It may be called at any time, from any
// goroutine. After finish it does nothing.
func (s *stream) progress(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	select {
	case s.events <- event{Progress: line}:
	default:
		s.cancel(errSlow)
	}
}

// transfer sends how far an image is. It is dropped if the caller reads slowly, unless it is the
// last one of that image.
func (s *stream) transfer(t host.Transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !t.Ended && len(s.events) > queued/2 {
		return
	}
	select {
	case s.events <- event{Transfer: &t}:
	default:
		s.cancel(errSlow)
	}
}

// send sends an event, and waits if the caller reads slowly.
func (s *stream) send(ctx context.Context, ev event) error {
	select {
	case s.events <- ev:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish sends the outcome and ends the stream. If no event came before an error, the error also
// sets the status code.
func (s *stream) finish(err error) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	close(s.events)
	<-s.done
	switch {
	case s.broken:
	case err == nil:
		s.write(event{Done: true}, true)
	case s.begun:
		e := encodeError(err)
		s.write(event{Error: &e}, true)
	default:
		writeError(s.w, err)
	}
}
