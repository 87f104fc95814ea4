package group

import (
	"context"
	"fmt"
	"time"
)

// maxEvaluation is how long the evaluation of one group file may take. The limits of package spec
// end every evaluation in less than a second, so only a host that hardly runs reaches it.
const maxEvaluation = 10 * time.Second

// StopEvaluation returns the Stop of a [spec.Source] that is read now. It ends the evaluation after
// 10 s, and when ctx ends.
func StopEvaluation(ctx context.Context) func() error {
	return stopEvaluation(ctx, time.Now)
}

func stopEvaluation(ctx context.Context, now func() time.Time) func() error {
	end := now().Add(maxEvaluation)
	return func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if now().After(end) {
			return fmt.Errorf("it took longer than %s", maxEvaluation)
		}
		return nil
	}
}
