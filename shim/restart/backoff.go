package restart

import "time"

const (
	backoffFirst = time.Second      // before the first restart, and the first retry of a failed step
	backoffMost  = time.Minute      // doubling ends here
	backoffExtra = 0.2              // up to this part more, by chance, so that the groups of a host don't restart in step
	Stable       = 10 * time.Minute // a run of this length ends a row of short ones
)

// Backoff is the wait before attempt row+1, after row ends or failures in a row. chance is in [0,1).
func Backoff(row int, chance float64) time.Duration {
	d := backoffMost
	if shift := row - 1; shift < 6 {
		d = min(backoffFirst<<max(shift, 0), backoffMost)
	}
	return d + time.Duration(float64(d)*backoffExtra*chance)
}
