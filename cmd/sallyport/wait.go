package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

type waitVerb struct {
	Group   string        `arg:"" help:"The group. It must be a job: a group whose apps end."`
	Timeout time.Duration `placeholder:"DURATION" help:"Longest time to wait, such as 90s or 5m (default unlimited). When it is over, wait exits with 124."`
	JSON    bool          `name:"json" help:"Print JSON."`
}

// An endedJob is printed by wait with --json.
type endedJob struct {
	Group      string      `json:"group"`
	State      group.State `json:"state"`       // completed
	ExitStatus uint32      `json:"exit_status"` // of its apps, and so of wait
	Seconds    float64     `json:"seconds"`     // that wait has waited
}

// Run exits with the status of the job's apps. The end of the time, wait's own or the job's, has a
// status of its own.
func (v *waitVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	began := ui.now()
	status, err := v.wait(ctx, in)
	if err != nil {
		return err
	}
	if v.JSON {
		if err := ui.json(endedJob{v.Group, group.Completed, status, seconds(ui.now().Sub(began))}); err != nil {
			return err
		}
	} else {
		ui.sayf("%s is %s, with status %d", v.Group, group.Completed, status)
	}
	if status != 0 {
		return exitStatus(status)
	}
	return nil
}

func (v *waitVerb) wait(ctx context.Context, in *instance) (status uint32, err error) {
	if err := checkTimeout(v.Timeout); err != nil {
		return 0, err
	}
	client, err := in.client(ctx)
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
		return 0, &hint.Error{
			Err:  &timedOut{fmt.Errorf("group %s has not completed within %s", v.Group, v.Timeout)},
			Hint: fmt.Sprintf("it continues; see \"sallyport status %s\"", v.Group),
		}
	}
	if errors.Is(err, group.ErrTimedOut) {
		return 0, &timedOut{err}
	}
	if err != nil {
		return 0, interrupted(ctx, err, "the job continues")
	}
	return status, nil
}

// checkTimeout refuses a --timeout below 0, which would else be no limit.
func checkTimeout(d time.Duration) error {
	if d < 0 {
		return usage(fmt.Errorf("--timeout %s is less than nothing", d), "name a length of time, such as 90s or 5m")
	}
	return nil
}
