package api

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// After the upgrade of an exec or a run, both sides send frames. A frame is a byte with its type,
// four bytes with the length of the payload (big endian), and the payload.
//
// The client may send only as much standard input as it is granted: window bytes at the beginning,
// and the bytes of grant frames as the process reads. So the daemon never has to stop reading from
// the connection. It notices at once that the terminal was resized or that the client has
// disconnected, even while the process reads nothing. Output has no window: a client that does not
// read makes the process wait.
type frameType byte

const (
	frameStdin    frameType = 1 // to the daemon: bytes for the process
	frameStdinEnd frameType = 2 // to the daemon: standard input has ended
	frameResize   frameType = 3 // to the daemon: width and height, two bytes each
	frameStdout   frameType = 4 // to the client: bytes of the process
	frameStderr   frameType = 5 // to the client: bytes of the process
	frameGrant    frameType = 6 // to the client: four bytes, the number of input bytes that it may send on top
	frameExit     frameType = 7 // to the client, last frame: the exit status in four bytes
	frameError    frameType = 8 // to the client, last frame: a wireError as JSON

	// A run has these on top. Its grants are for bytes that the app's input has taken.
	frameSignal frameType = 16 // to the daemon: the number of a signal for the app, four bytes
	frameInput  frameType = 17 // to the client: from which byte on to send standard input, eight bytes
	frameNotice frameType = 18 // to the client: a group.RunNotice as JSON
	frameResult frameType = 19 // to the client, last frame: a group.Run as JSON
)

const (
	execProtocol = "sallyport-exec-1"
	runProtocol  = "sallyport-run-1"
	window       = 256 << 10
	maxFrame     = 64 << 10 // bytes after the header
	chunk        = 32 << 10 // largest payload of input or output
	headerSize   = 5
)

var errFrame = errors.New("not a frame of the exec protocol")

// A frameReader reads frames. The payload that next returns is valid until the next call.
type frameReader struct {
	r   io.Reader
	buf [headerSize + maxFrame]byte
}

// next reads one frame. It returns io.EOF only between two frames.
func (f *frameReader) next() (frameType, []byte, error) {
	header := f.buf[:headerSize]
	if _, err := io.ReadFull(f.r, header); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(header[1:])
	if size > maxFrame {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	payload := f.buf[headerSize:][:size]
	if _, err := io.ReadFull(f.r, payload); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return frameType(header[0]), payload, nil
}

// A frameWriter writes whole frames. Several goroutines may use it.
type frameWriter struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

func (f *frameWriter) write(t frameType, payload []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buf = append(f.buf[:0], byte(t))
	f.buf = binary.BigEndian.AppendUint32(f.buf, uint32(len(payload)))
	f.buf = append(f.buf, payload...)
	_, err := f.w.Write(f.buf)
	return err
}

// number returns the payload of a frame that holds a number.
func number(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func parseNumber(payload []byte) (uint32, error) {
	if len(payload) != 4 {
		return 0, fmt.Errorf("%w: a number of %d bytes", errFrame, len(payload))
	}
	return binary.BigEndian.Uint32(payload), nil
}

// An output is an io.Writer that sends its bytes as frames of one type.
type output struct {
	frames *frameWriter
	kind   frameType
}

func (o output) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		if err := o.frames.write(o.kind, part); err != nil {
			return n, err
		}
		n, p = n+len(part), p[len(part):]
	}
	return n, nil
}
