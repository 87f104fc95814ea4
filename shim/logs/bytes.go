package logs

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	bytesPart = 32 << 10 // the most that is emitted at once
	// writerTime is how long CopyBytes waits for the end of writing, once the program has ended.
	// A child of it may hold its output open.
	writerTime  = 2 * time.Second
	writerLooks = 10 * time.Millisecond
)

// Bytes selects what CopyBytes copies of one output file.
type Bytes struct {
	Path  string        // required
	Moved func() string // optional: where the file is, if it is not at Path any more. "": nowhere
	From  int64         // the first byte
	// Over is closed when the program has ended. With Await, what copies its output may still have
	// some of it then.
	Over  <-chan struct{} // required
	Await bool
}

// CopyBytes calls emit with the bytes of an output file as they are. It goes on until Over is
// closed and all is emitted. dropped is called in the place of bytes that were freed before they
// could be read. A file that is moved while it is read is read to its end. Without a file,
// CopyBytes waits for it until Over is closed. The end of ctx ends CopyBytes without an error, and
// an error of emit or dropped ends it too, unchanged.
func CopyBytes(ctx context.Context, b Bytes, emit func([]byte) error, dropped func(int64) error) error {
	return copyBytes(ctx, b, watchOptions{notify: true, poll: time.Second, check: 10 * time.Second}, emit, dropped)
}

func copyBytes(ctx context.Context, b Bytes, watch watchOptions, emit func([]byte) error, dropped func(int64) error) error {
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-b.Over:
			cancel()
		case <-waiting.Done():
		}
	}()
	w := newWatcher([]File{{Path: b.Path}}, watch) // before the first read, so that later output wakes us
	defer w.close()
	r := bytesReader{Bytes: b, at: b.From, buf: make([]byte, bytesPart), emit: emit, dropped: dropped}
	defer r.close()
	for last := false; ; {
		if err := r.copy(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if last {
			return nil
		}
		if last = waiting.Err() != nil; !last {
			w.wait(waiting, r.f == nil)
		} else if b.Await {
			r.awaitWriter(ctx)
		}
	}
}

// A bytesReader reads one file. It owns it.
type bytesReader struct {
	Bytes
	f       *os.File // nil if there is no file yet
	at      int64    // offset of the next byte
	buf     []byte
	emit    func([]byte) error
	dropped func(int64) error
}

// copy emits what the file has now.
func (r *bytesReader) copy(ctx context.Context) (err error) {
	if r.f == nil {
		if err = r.open(); r.f == nil {
			return err
		}
	}
	for ctx.Err() == nil {
		n, err := r.f.ReadAt(r.buf, r.at)
		if err != nil && err != io.EOF {
			return err
		}
		if n == 0 {
			return nil
		}
		// Only the head of a file is freed. So if the first byte is there now, all were.
		if data := dataFrom(r.f, r.at, r.at+int64(n)); data > r.at {
			missing := data - r.at
			r.at = data
			if err := r.dropped(missing); err != nil {
				return err
			}
			continue
		}
		r.at += int64(n)
		if err := r.emit(r.buf[:n]); err != nil {
			return err
		}
	}
	return nil
}

// open opens the file, if it is there. It only ever moves away from Path, so it is found.
func (r *bytesReader) open() (err error) {
	if r.f, _, err = openRegular(r.Path); r.f != nil || err != nil || r.Moved == nil {
		return err
	}
	if path := r.Moved(); path != "" {
		r.f, _, err = openRegular(path)
	}
	return err
}

// awaitWriter waits until no process has the file open to write, or for writerTime: what copies the
// output of a program may still have some of it when that has ended.
func (r *bytesReader) awaitWriter(ctx context.Context) {
	end := time.NewTimer(writerTime)
	defer end.Stop()
	for r.f != nil && written(r.f) {
		select {
		case <-time.After(writerLooks):
		case <-end.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// written reports whether a process has a file open to write. The kernel grants a lease only if
// none has (fcntl(2), F_SETLEASE). Where it grants none, the answer is no.
func written(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

func (r *bytesReader) close() {
	if r.f != nil {
		_ = r.f.Close()
	}
}
