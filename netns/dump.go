package netns

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

// mostDumps is how often a list is asked for. With the pauses between, a host that never stops
// changing is an error after about two seconds.
const mostDumps = 40

// longestDumpPause is the longest pause between two of them.
const longestDumpPause = 50 * time.Millisecond

// Dump calls list, which asks the kernel for a list, and calls it again while the error is
// [netlink.ErrDumpInterrupted]. The list changed then while the kernel sent it in several messages,
// so that entries may be missing or twice (NLM_F_DUMP_INTR). The links, addresses and routes of a
// host change all the time while groups come and go, so each list of them is asked for this way.
func Dump[T any](list func() (T, error)) (T, error) {
	for try, wait := 1, time.Duration(0); ; try++ {
		got, err := list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return got, err
		}
		if try == mostDumps {
			var none T
			return none, fmt.Errorf("it changed each of the %d times that it was read: %w", mostDumps, err)
		}
		time.Sleep(wait)
		wait = min(max(2*wait, time.Millisecond), longestDumpPause)
	}
}
