package bound

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/shim/logs/times"
)

// indexPart is the part of an output's limit that its index may have: 5 %.
const indexPart = 20

// A worker does what may wait for a disk: it writes the indexes and deletes removed output. What is
// to be done to a file and has not begun becomes one thing.
type worker struct {
	log  *slog.Logger
	wake chan struct{} // holds one wish

	mu      sync.Mutex
	queue   []*file // in the order of their first wish
	wishes  map[*file]*wish
	deletes []string

	writers map[*file]*times.Writer // only for the goroutine of run
	failed  map[*file]bool          // reported
}

// A wish has all that is to be done to the index of a file. Each part may be missing.
type wish struct {
	offset int64 // of a mark
	at     time.Time
	late   bool
	drop   int64 // the bytes before it are freed
	close  bool  // the file is gone
}

func newWorker(log *slog.Logger) *worker {
	return &worker{
		log: log, wake: make(chan struct{}, 1), wishes: map[*file]*wish{},
		writers: map[*file]*times.Writer{}, failed: map[*file]bool{},
	}
}

// mark asks for a mark. late means that the bytes may have been written long before.
func (w *worker) mark(f *file, offset int64, at time.Time, late bool) {
	w.ask(f, func(old *wish) {
		// One mark in the place of two is right about the latest time alone.
		old.late = late || old.offset > 0
		old.offset, old.at = offset, at
	})
}

// drop asks to forget the marks before an offset.
func (w *worker) drop(f *file, before int64) { w.ask(f, func(old *wish) { old.drop = before }) }

// forget asks to close the index, because its file is gone. Nothing else is done to it.
func (w *worker) forget(f *file) { w.ask(f, func(old *wish) { *old = wish{close: true} }) }

func (w *worker) ask(f *file, change func(*wish)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	old := w.wishes[f]
	if old == nil {
		old = &wish{}
		w.wishes[f], w.queue = old, append(w.queue, f)
	}
	change(old)
	w.wakeUp()
}

// delete asks to delete a folder of removed output.
func (w *worker) delete(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.deletes, path) {
		w.deletes = append(w.deletes, path)
		w.wakeUp()
	}
}

func (w *worker) wakeUp() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run works until ctx ends. What is asked for until then is done.
func (w *worker) run(ctx context.Context) {
	defer func() {
		for _, writer := range w.writers {
			_ = writer.Close()
		}
	}()
	for {
		for w.step() {
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			for w.step() {
			}
			return
		}
	}
}

// step does one thing. It reports whether there was one.
func (w *worker) step() bool {
	w.mu.Lock()
	var dir string
	var f *file
	var todo wish
	switch {
	case len(w.deletes) > 0:
		dir, w.deletes = w.deletes[0], w.deletes[1:]
	case len(w.queue) > 0:
		f, w.queue = w.queue[0], w.queue[1:]
		todo = *w.wishes[f]
		delete(w.wishes, f)
	}
	w.mu.Unlock()
	switch {
	case dir != "":
		if err := os.RemoveAll(dir); err != nil {
			w.log.Warn("removed output not deleted", "folder", dir, "error", err)
		} else {
			w.log.Info("deleted removed output", "folder", dir)
		}
	case f != nil:
		w.report(f, w.do(f, todo))
	default:
		return false
	}
	return true
}

func (w *worker) do(f *file, todo wish) error {
	writer := w.writers[f]
	if todo.close {
		delete(w.writers, f)
		delete(w.failed, f)
		if writer != nil {
			return writer.Close()
		}
		return nil
	}
	if writer == nil {
		var err error
		if writer, err = times.Open(f.path, f.own/indexPart); err != nil {
			return err
		}
		w.writers[f] = writer
	}
	var err error
	switch {
	case todo.offset > 0 && todo.late:
		err = writer.MarkLate(todo.offset, todo.at)
	case todo.offset > 0:
		err = writer.Mark(todo.offset, todo.at)
	}
	if todo.drop > 0 {
		err = errors.Join(err, writer.Drop(todo.drop))
	}
	return err
}

// report logs the first of several errors of an index. The output has no times then, and that is
// all.
func (w *worker) report(f *file, err error) {
	switch {
	case err == nil:
		delete(w.failed, f)
	case !w.failed[f] && !errors.Is(err, fs.ErrNotExist):
		w.failed[f] = true
		w.log.Warn("times of output not written", "file", f.path, "error", err)
	}
}
