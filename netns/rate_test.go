package netns

import (
	"errors"
	"fmt"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestCreateQueue(t *testing.T) {
	link := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: 7}}
	for bits, want := range map[uint64]struct{ rate, limit uint64 }{
		1:              {1, leastBurst + leastQueue},
		512_000:        {64_000, leastBurst + leastQueue},
		2_000_000:      {250_000, leastBurst + 18_750},
		1_000_000_000:  {125_000_000, 1_250_000 + 9_375_000},
		10_000_000_000: {1_250_000_000, 12_500_000 + 93_750_000},
	} {
		q := createQueue(link, bits)
		if q.Rate != want.rate || uint64(q.Limit) != want.limit || q.LinkIndex != 7 {
			t.Errorf("%d bit/s: rate %d, limit %d on link %d; want %d, %d on link 7", bits, q.Rate, q.Limit, q.LinkIndex, want.rate, want.limit)
		}
	}
}

// A kernel without the queue answers ENOENT.
func TestRateError(t *testing.T) {
	if err := rateError(fmt.Errorf("x: %w", unix.ENOENT)); !errors.Is(err, ErrNoRate) {
		t.Errorf("an unknown kind of queue: %v, want ErrNoRate", err)
	}
	if err := rateError(unix.EPERM); !errors.Is(err, unix.EPERM) {
		t.Errorf("another error became %v", err)
	}
}
