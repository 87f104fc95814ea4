package ctrd

import (
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/sallyport/sallyport/shim/ctrd/registry"
)

// A stallWatch cancels a context when nothing has moved for a while.
type stallWatch struct {
	after  time.Duration
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

// watchStall starts to watch. After a stall the context ends with registry.ErrStalled. The caller
// calls stop at the end.
func watchStall(ctx context.Context, after time.Duration) (context.Context, *stallWatch) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &stallWatch{
		after:  after,
		timer:  time.AfterFunc(after, func() { cancel(registry.ErrStalled) }),
		cancel: cancel,
	}
}

// moved reports progress.
func (w *stallWatch) moved() { w.timer.Reset(w.after) }

func (w *stallWatch) stop() {
	w.timer.Stop()
	w.cancel(nil)
}

// A countingSection reports each piece that is read of a blob, and counts the bytes. It can seek,
// so that an import continues at the end of an earlier one.
type countingSection struct {
	*io.SectionReader
	moved func()
	id    digest.Digest
	to    *transfer
}

func (s *countingSection) Read(p []byte) (int, error) {
	n, err := s.SectionReader.Read(p)
	if n > 0 {
		s.moved()
		if at, err := s.Seek(0, io.SeekCurrent); err == nil {
			s.to.at(s.id, at)
		}
	}
	return n, err
}
