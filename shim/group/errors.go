package group

import "errors"

var (
	// ErrNoGroup is the error for a group that does not exist.
	ErrNoGroup = errors.New("no such group")

	// ErrNoContainer is the error for a container that its group does not have.
	ErrNoContainer = errors.New("no such container")

	// ErrNoGeneration is the error for a generation that is not kept, or never existed.
	ErrNoGeneration = errors.New("no such generation")

	// ErrTimedOut is the error for a job that was ended because its time was over.
	ErrTimedOut = errors.New("timed out")

	// ErrFile matches every [store.FileError]. It is for callers that only ask whether a file is
	// wrong.
	ErrFile = errors.New("a group file is wrong")
)

// A FileProblem is the reason why a file, or the whole folder, can't be used.
type FileProblem struct {
	Path string
	Err  error
}
