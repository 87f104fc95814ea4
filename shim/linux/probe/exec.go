package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	// maxStarts is how many programs of exec probes may start at the same time. Each start is two
	// processes of runc. Without the limit, a daemon that takes over fifty groups would keep the
	// host busy for longer than the timeouts of their probes.
	maxStarts = 4
	// longestStart is how long one program counts as starting, even if it still runs. What its
	// start costs is over by then.
	longestStart = time.Second
	// startTimeout is how long containerd may take to start a program. A slow start does not count
	// against the container.
	startTimeout = 30 * time.Second
	// maxOutput is how much of a program's output is kept, in bytes.
	maxOutput = 1 << 10
)

var errNotStarted = fmt.Errorf("%w: containerd did not start it within %s", host.ErrNotAsked, startTimeout)

// runExec succeeds when the command ends with status 0. The timeout begins when the command has
// started.
func (p *Prober) runExec(ctx context.Context, group, container string, probe spec.Probe) error {
	what := "exec " + hint.Excerpt(strings.Join(probe.Exec, " "), hint.Short)
	select {
	case p.starting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	token := time.AfterFunc(longestStart, func() { <-p.starting })
	defer func() {
		if token.Stop() {
			<-p.starting
		}
	}()

	asked, end := context.WithCancelCause(ctx)
	defer end(nil)
	limit := time.AfterFunc(startTimeout, func() { end(errNotStarted) })
	defer func() { limit.Stop() }()
	output := hint.Tail{Most: maxOutput}
	status, err := p.exec.Exec(asked, host.ExecRequest{
		Group: group, Container: container, Args: probe.Exec, Stdout: &output, Stderr: &output,
		Started: func() {
			if limit.Stop() {
				limit = time.AfterFunc(probe.Timeout, func() { end(&timeoutError{probe.Timeout}) })
			}
		},
	})
	if late, ok := errors.AsType[*timeoutError](context.Cause(asked)); ok {
		text := fmt.Sprintf("%s: it did not end within its timeout of %s, and was killed", what, late.timeout)
		if line := hint.Line(output.LastLine(), hint.Long); line != "" {
			text += ": " + line
		}
		return errors.New(text)
	}
	switch {
	case errors.Is(context.Cause(asked), host.ErrNotAsked):
		return fmt.Errorf("%s: %w", what, context.Cause(asked))
	case errors.Is(err, host.ErrUserFile):
		return fmt.Errorf("%s: %w", what, err)
	case err != nil:
		return fmt.Errorf("%s: %w: %w", what, host.ErrNotAsked, err)
	case status == 0:
		return nil
	}
	if line := hint.Line(output.LastLine(), hint.Long); line != "" {
		return fmt.Errorf("%s: status %d: %s", what, status, line)
	}
	return fmt.Errorf("%s: status %d", what, status)
}
