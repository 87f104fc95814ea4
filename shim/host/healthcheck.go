package host

import (
	"cmp"
	"errors"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A Healthcheck is the HEALTHCHECK of an image. A zero time or count is docker's default.
type Healthcheck struct {
	Args          []string // the command, with the image's shell; not empty
	Interval      time.Duration
	Timeout       time.Duration
	StartPeriod   time.Duration
	StartInterval time.Duration
	Retries       int
}

// ErrNoHealthcheck is the error for a probe that is to ask what an image's HEALTHCHECK asks, if the
// image has none.
var ErrNoHealthcheck = errors.New("its image has no HEALTHCHECK")

// Docker's defaults, in its package daemon (health.go). A probe has bounds of its own.
const (
	checkInterval = 30 * time.Second
	checkTimeout  = 30 * time.Second
	checkRetries  = 3

	leastInterval = 100 * time.Millisecond
	leastTimeout  = time.Millisecond
	mostTime      = time.Hour
	mostRetries   = 1000
)

// Probe returns the probe that asks what the image asks. What the group file has set in p counts
// before the image's. The image's times and retries are brought into the bounds of a probe's.
func (h Healthcheck) Probe(p spec.Probe) spec.Probe {
	p.Image, p.Exec = false, h.Args
	p.Interval = cmp.Or(p.Interval, within(cmp.Or(h.Interval, checkInterval), leastInterval, mostTime))
	p.Timeout = cmp.Or(p.Timeout, within(cmp.Or(h.Timeout, checkTimeout), leastTimeout, mostTime))
	p.StartPeriod = cmp.Or(p.StartPeriod, within(h.StartPeriod, 0, mostTime))
	p.Failures = cmp.Or(p.Failures, within(cmp.Or(h.Retries, checkRetries), 1, mostRetries))
	if h.StartInterval > 0 {
		p.StartInterval = cmp.Or(p.StartInterval, within(h.StartInterval, leastInterval, mostTime))
	}
	return p
}

func within[T cmp.Ordered](v, least, most T) T { return min(max(v, least), most) }
