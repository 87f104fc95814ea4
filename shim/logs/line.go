package logs

import "time"

// A Line is a line of a container's output, or how much of it is missing.
type Line struct {
	Container string
	Stream    string // "stdout" or "stderr", if the container's streams are kept apart
	Text      string // any bytes, without the newline
	// Time is when the line was written, to within a second. Zero means that it is unknown, or was
	// not asked for.
	Time time.Time
	// Latest means that the line was written at Time or before: nothing watched the file then.
	Latest bool
	// Partial means that the line is long and goes on in the next Line of its container and
	// stream.
	Partial bool
	// Missed is the number of bytes that were freed before they could be read. The other lines have
	// 0. Such a Line has no text.
	Missed int64
}

type emitFunc func(Line) error
