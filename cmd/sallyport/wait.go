package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim"
)

type waitVerb struct {
	Group   string        `arg:"" help:"The group; a job, whose apps end."`
	Timeout time.Duration `placeholder:"DURATION" help:"Wait no longer, 90s or 5m (default for ever)."`
}

// Run ends with the exit status of the job's apps; what fails here must not be taken for it.
func (v *waitVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	status, err := v.wait(ctx, in)
	if err != nil {
		return &ownFailure{err}
	}
	fmt.Fprintf(ui.out, "%s is %s, with status %d\n", v.Group, shim.Completed, status)
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (v *waitVerb) wait(ctx context.Context, in *instance) (status uint32, err error) {
	client, err := in.client()
	if err != nil {
		return 0, err
	}
	bounded, cancel := ctx, context.CancelFunc(func() {})
	if v.Timeout > 0 {
		bounded, cancel = context.WithTimeout(ctx, v.Timeout)
	}
	defer cancel()
	status, err = client.Wait(bounded, v.Group)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return 0, &shim.Problem{
			Err:  fmt.Errorf("group %s has not completed within %s", v.Group, v.Timeout),
			Hint: fmt.Sprintf("it goes on; see \"sallyport status %s\"", v.Group),
		}
	}
	if err != nil {
		return 0, interrupted(ctx, err, "the job goes on")
	}
	return status, nil
}
