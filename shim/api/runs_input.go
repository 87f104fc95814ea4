package api

import (
	"errors"
	"io"
	"sync"
)

// A runInput is the client's end of a run's standard input. It keeps what the app's input has not
// taken yet, so that another connection goes on with it. Nothing is sent twice and nothing is
// left out: each connection begins with the offset that the daemon sends.
type runInput struct {
	mu     sync.Mutex
	ready  sync.Cond // a field below has changed
	buf    []byte    // read, and not taken yet
	at     uint64    // offset of buf in the input
	begun  bool      // an earlier connection has told at
	ended  bool      // nothing follows buf
	closed bool      // the run is over

	frames *frameWriter // of the connection. Nil: there is none
	sent   uint64       // up to which offset this connection has sent
	done   sync.WaitGroup
}

func newRunInput() *runInput {
	in := &runInput{}
	in.ready.L = &in.mu
	return in
}

// fill reads r to its end. An error counts as its end.
func (in *runInput) fill(r io.Reader) {
	p := make([]byte, chunk)
	for in.hasRoom() {
		n, err := r.Read(p)
		in.mu.Lock()
		in.buf, in.ended = append(in.buf, p[:n]...), err != nil
		in.ready.Broadcast()
		in.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// hasRoom waits until less than a window is kept. It returns false when the run is over.
func (in *runInput) hasRoom() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.buf) >= window && !in.closed {
		in.ready.Wait()
	}
	return !in.closed
}

// attach begins to send over a connection what follows the first offset bytes.
func (in *runInput) attach(offset uint64, frames *frameWriter) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case !in.begun:
		in.at, in.begun = offset, true // another caller has sent what comes before
	case offset < in.at || offset > in.at+uint64(len(in.buf)):
		return errors.New("the daemon does not know how much of the standard input the app has read")
	}
	in.buf, in.at = in.buf[offset-in.at:], offset
	in.frames, in.sent = frames, offset
	in.done.Go(func() { in.send(frames) })
	return nil
}

// detach ends the sending over the connection, which is closed.
func (in *runInput) detach() {
	in.mu.Lock()
	in.frames = nil
	in.ready.Broadcast()
	in.mu.Unlock()
	in.done.Wait()
}

// taken notes that the app's input has taken n bytes more.
func (in *runInput) taken(n uint64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	n = min(n, uint64(len(in.buf)))
	in.buf, in.at = in.buf[n:], in.at+n
	in.ready.Broadcast()
}

func (in *runInput) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.ready.Broadcast()
}

// send sends until the connection is detached, or the input has ended. The daemon holds a window
// beyond what is taken, and buf is little more than that.
func (in *runInput) send(frames *frameWriter) {
	for {
		part, end := in.next(frames)
		switch {
		case part != nil:
			if frames.write(frameStdin, part) != nil {
				return
			}
		case end:
			_ = frames.write(frameStdinEnd, nil)
			return
		default:
			return
		}
	}
}

// next waits for the next bytes to send over the connection. A nil part means that there are none,
// either because the input has ended, or because the connection has.
func (in *runInput) next(frames *frameWriter) (part []byte, end bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for {
		from := in.sent - in.at // sent is never below at: only what was sent is taken
		rest := in.buf[from:]
		room := window - int(from)
		switch {
		case in.frames != frames:
			return nil, false
		case len(rest) > 0 && room > 0:
			part = append(part, rest[:min(len(rest), room, chunk)]...)
			in.sent += uint64(len(part))
			return part, false
		case len(rest) == 0 && in.ended:
			return nil, true
		}
		in.ready.Wait()
	}
}
