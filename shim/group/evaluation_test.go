package group

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestStopEvaluation(t *testing.T) {
	now := time.Unix(0, 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := stopEvaluation(ctx, func() time.Time { return now })
	now = now.Add(maxEvaluation)
	if err := stop(); err != nil {
		t.Errorf("within the time: %v", err)
	}
	now = now.Add(1)
	if err := stop(); err == nil {
		t.Error("the evaluation goes on after its time")
	}
	now = time.Unix(0, 0)
	over := errors.New("shut down")
	cancel(over)
	if err := stop(); !errors.Is(err, over) {
		t.Errorf("after the end of the context: %v, want %v", err, over)
	}
}
