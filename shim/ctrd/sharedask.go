package ctrd

import (
	"context"
	"sync"
)

// A sharedAsk answers the questions of many callers with few calls. While a call is under way, the
// questions that come are gathered. The next call answers all of them:
//
//	asked ──► a call is under way: gathered ──► the call ends: one call for all that are gathered
//	  └─────► none is: a call for this question alone
//
// So a call begins after each question that it answers. Each answer is as fresh as that of a call
// of the caller's own.
type sharedAsk[K comparable, V any] struct {
	// ask answers the questions. It has a deadline of its own, since no caller's context counts.
	ask func(ctx context.Context, questions []K) (V, error)

	mu       sync.Mutex
	gathered *sharedCall[K, V] // the call to come. Nil: no caller waits for one
	underWay bool
}

// A sharedCall is one call, and those who wait for it.
type sharedCall[K comparable, V any] struct {
	questions []K           // without duplicates
	done      chan struct{} // closed when it has its answer
	answer    V
	err       error
}

// do returns the answer of the call that has the question. If ctx ends before, it returns the
// reason, and the call goes on for others.
func (s *sharedAsk[K, V]) do(ctx context.Context, question K) (answer V, err error) {
	call := s.join(context.WithoutCancel(ctx), question)
	select {
	case <-call.done:
		return call.answer, call.err
	case <-ctx.Done():
		return answer, context.Cause(ctx)
	}
}

func (s *sharedAsk[K, V]) join(ctx context.Context, question K) *sharedCall[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gathered == nil {
		s.gathered = &sharedCall[K, V]{done: make(chan struct{})}
	}
	call := s.gathered
	call.add(question)
	if !s.underWay {
		s.underWay = true
		go s.callAll(ctx)
	}
	return call
}

func (c *sharedCall[K, V]) add(question K) {
	for _, q := range c.questions {
		if q == question {
			return
		}
	}
	c.questions = append(c.questions, question)
}

// callAll makes one call after the other until no caller waits.
func (s *sharedAsk[K, V]) callAll(ctx context.Context) {
	for call := s.next(); call != nil; call = s.next() {
		call.answer, call.err = s.ask(ctx, call.questions)
		close(call.done)
	}
}

// next takes the gathered questions. Nil means that there are none, and that the next question
// begins a call.
func (s *sharedAsk[K, V]) next() *sharedCall[K, V] {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := s.gathered
	s.gathered, s.underWay = nil, call != nil
	return call
}
