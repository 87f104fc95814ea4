package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

const (
	// maxStarts is how many programs of exec probes may start at the same time: each start is two processes of runc's. A
	// daemon that adopts fifty groups would otherwise keep the host busy for longer than their timeouts.
	maxStarts = 4
	// longestStart is when the next may start although one has not come to its end: what a start costs is over by then.
	longestStart = time.Second
	// startTimeout is how long containerd may take to start one. That says nothing about the container.
	startTimeout = 30 * time.Second
)

var errNotStarted = fmt.Errorf("%w: containerd did not start it within %s", host.ErrNotAsked, startTimeout)

// runExec succeeds when the command ends with status 0. Its timeout runs from when it has started.
func (h *Prober) runExec(ctx context.Context, group, container string, p spec.Probe) error {
	what := "exec " + excerpt(strings.Join(p.Exec, " "), maxExcerpt)
	select {
	case h.starting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	turn := time.AfterFunc(longestStart, func() { <-h.starting })
	defer func() {
		if turn.Stop() {
			<-h.starting
		}
	}()

	asked, end := context.WithCancelCause(ctx)
	defer end(nil)
	limit := time.AfterFunc(startTimeout, func() { end(errNotStarted) })
	defer func() { limit.Stop() }()
	var output tail
	status, err := h.exec.Exec(asked, host.ExecRequest{
		Group: group, Container: container, Args: p.Exec, Stdout: &output, Stderr: &output,
		Started: func() {
			if limit.Stop() {
				limit = time.AfterFunc(p.Timeout, func() { end(&timeoutError{p.Timeout}) })
			}
		},
	})
	if late, ok := errors.AsType[*timeoutError](context.Cause(asked)); ok {
		return fmt.Errorf("%s: no end within %s", what, late.timeout)
	}
	switch {
	case errors.Is(context.Cause(asked), host.ErrNotAsked):
		return fmt.Errorf("%s: %w", what, context.Cause(asked))
	case err != nil:
		return fmt.Errorf("%s: %w: %w", what, host.ErrNotAsked, err)
	case status == 0:
		return nil
	}
	if said := excerpt(output.line(), maxExcerpt); said != "" {
		return fmt.Errorf("%s: status %d: %s", what, status, said)
	}
	return fmt.Errorf("%s: status %d", what, status)
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const maxTail = 1 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p[max(0, len(p)-maxTail):]...)
	t.text = t.text[max(0, len(t.text)-maxTail):]
	return len(p), nil
}

// line is the last line that isn't blank.
func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(string(t.text))
	return text[strings.LastIndexByte(text, '\n')+1:]
}
