package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
)

// queued is how many events may wait for a caller that doesn't read.
const queued = 1024

var (
	errGone = errors.New("the caller has gone")
	errSlow = errors.New("the caller doesn't read what it is told")
)

// A stream sends events to a caller, from a goroutine of its own: the work that they tell of must
// not wait for a terminal that somebody has stopped.
type stream struct {
	w      http.ResponseWriter
	flush  func() error
	cancel context.CancelCauseFunc // ends the work, for want of a listener
	events chan event
	done   chan struct{} // the goroutine has ended; after that the fields below belong to finish

	begun  bool // something was written
	broken bool // nothing can be

	mu     sync.Mutex
	closed bool // guarded by mu: there is no more progress to tell
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

// write sends an event, at once with flush, else with those that follow.
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
// goroutine; after the end it does nothing.
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

// send sends an event, and waits for a caller that reads slowly.
func (s *stream) send(ctx context.Context, ev event) error {
	select {
	case s.events <- ev:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish sends how it ended, and is the end of the stream. An error with nothing before it has a
// status code of its own.
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
