package group

import "errors"

// ErrNoContainer is the error for a container that its group does not have.
var ErrNoContainer = errors.New("no such container")

// ErrNoGeneration is the error for a generation that is not kept, or never was.
var ErrNoGeneration = errors.New("no such generation")

// ErrFile is every [store.FileError], for those who only ask whether a file is at fault.
var ErrFile = errors.New("a group file is wrong")

// A FileProblem is what keeps a file, or the whole folder, from being used.
type FileProblem struct {
	Path string
	Err  error
}
