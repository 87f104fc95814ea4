package host

import "time"

// A Moment is a time by two clocks of the host.
type Moment struct {
	Wall time.Time // anyone may set this clock, and a boot may begin with a wrong one
	// Boot is the id of the boot, and Up is how long ago that was. This clock can't be set, and it
	// goes on while the host sleeps. An empty Boot means that it can't be read.
	Boot string
	Up   time.Duration
}
