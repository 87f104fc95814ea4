package host

import "errors"

// An Input is the standard input of a container that was created with one. It outlives the process
// that writes to it: the next one opens it again, and goes on where Taken says.
type Input interface {
	// Taken returns how many bytes it has taken, by all that have written to it.
	Taken() uint64
	// Write waits while the program reads nothing. It returns how many bytes it has taken. When the
	// program does not read any more, it takes all and drops them. Close ends it.
	Write(p []byte) (n int, err error)
	// End lets the program read the end of its input.
	End() error
	// Close releases it. The program does not read the end by that.
	Close() error
}

// ErrInputUnknown is the error for an input that a process was writing to when it was killed. Some
// bytes may have been taken or not.
var ErrInputUnknown = errors.New("it is not known how much of the standard input was taken")
