package ctrd

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A heldAsk answers when it is let to, and notes what it was asked.
type heldAsk struct {
	sharedAsk[string, string]
	began chan []string
	end   chan error
}

func newHeldAsk() *heldAsk {
	h := &heldAsk{began: make(chan []string), end: make(chan error)}
	calls := 0
	h.ask = func(_ context.Context, questions []string) (string, error) {
		calls++
		h.began <- slices.Clone(questions)
		return "answer " + strconv.Itoa(calls), <-h.end
	}
	return h
}

// While a call is under way, others gather, and one call answers them all. It begins after each of
// them came.
func TestSharedAskGathers(t *testing.T) {
	h := newHeldAsk()
	first := h.join(t.Context(), "a")
	if got := <-h.began; !slices.Equal(got, []string{"a"}) {
		t.Fatalf("the first call was asked %q", got)
	}
	var later []*sharedCall[string, string]
	for _, q := range []string{"a", "b", "c", "b"} {
		later = append(later, h.join(t.Context(), q))
	}
	h.end <- nil
	if got, want := <-h.began, []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("the second call (-want +got):\n%s", cmp.Diff(want, got))
	}
	h.end <- nil
	<-first.done
	if first.answer != "answer 1" {
		t.Errorf("the first got %q", first.answer)
	}
	for i, c := range later {
		if <-c.done; c.answer != "answer 2" {
			t.Errorf("caller %d got %q", i, c.answer)
		}
	}
	// Nothing is under way now, so the next question has a call of its own.
	last := h.join(t.Context(), "d")
	if got := <-h.began; !slices.Equal(got, []string{"d"}) {
		t.Errorf("the last call was asked %q", got)
	}
	h.end <- errors.New("no")
	if <-last.done; last.err == nil {
		t.Error("the last has no error")
	}
}

// A caller that leaves takes no other with it, even if the call was begun for it.
func TestSharedAskCallerLeaves(t *testing.T) {
	h := newHeldAsk()
	ctx, leave := context.WithCancelCause(t.Context())
	var left error
	var wg sync.WaitGroup
	wg.Go(func() { _, left = h.do(ctx, "a") })
	<-h.began
	stays := h.join(t.Context(), "b")
	why := errors.New("enough")
	leave(why)
	wg.Wait()
	if !errors.Is(left, why) {
		t.Errorf("it left with %v", left)
	}
	h.end <- nil
	<-h.began
	h.end <- nil
	if <-stays.done; stays.err != nil || stays.answer != "answer 2" {
		t.Errorf("the other got %q, %v", stays.answer, stays.err)
	}
}
