package netns

import (
	"errors"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrNoRate means that the kernel can't limit a rate: it is built without the token bucket filter.
var ErrNoRate = errors.New("the kernel has no token bucket filter (sch_tbf)")

// rateHandle marks our queues. A queue with another handle is not ours, and stays if no rate is
// wanted.
var rateHandle = netlink.MakeHandle(0x5a11, 0)

// A queue holds about 75 ms of its rate, and a burst is 10 ms of it. That is short enough for a
// proxy to answer in time, and long enough for TCP to find the rate. On a slow link the queue and
// the burst hold at least a few full frames.
const (
	burstMillis, leastBurst = 10, 8 << 10
	queueMillis, leastQueue = 75, 16 << 10
)

func createQueue(link netlink.Link, bits uint64) *netlink.Tbf {
	rate := max(bits/8, 1)
	burst := max(rate*burstMillis/1000, leastBurst)
	limit := burst + max(rate*queueMillis/1000, leastQueue)
	return &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: rateHandle, Parent: netlink.HANDLE_ROOT},
		Rate:       rate,
		Limit:      uint32(min(limit, 1<<32-1)),
		Buffer:     netlink.Xmittime(rate, uint32(min(burst, 1<<32-1))),
	}
}

// ensureRate limits what the end of a link sends, in bits a second. 0 removes the limit.
func ensureRate(h *netlink.Handle, link netlink.Link, bits uint64) error {
	if ok, err := hasRate(h, link, bits); err != nil || ok {
		return err
	}
	queue := createQueue(link, bits)
	if bits == 0 {
		if err := h.QdiscDel(queue); err != nil {
			return fmt.Errorf("lift rate: %w", err)
		}
		return nil
	}
	if err := h.QdiscReplace(queue); err != nil {
		return fmt.Errorf("bound rate to %d bit/s: %w", bits, rateError(err))
	}
	return nil
}

// rateError translates the kernel's error for an unknown kind of queue.
func rateError(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return ErrNoRate
	}
	return err
}

// hasRate reports whether the end of a link has the limit. open opens the end to read its queue,
// which is not needed if no limit is wanted and the kind of the queue shows that there is none.
func (l foundLink) hasRate(bits uint64, open func() (end, error)) (bool, error) {
	if bits == 0 && l.queue != "" && l.queue != (&netlink.Tbf{}).Type() {
		return true, nil
	}
	e, err := open()
	if err != nil {
		return false, err
	}
	defer e.Close()
	return hasRate(e.Handle, l, bits)
}

func hasRate(h *netlink.Handle, link netlink.Link, bits uint64) (bool, error) {
	have, err := Dump(func() ([]netlink.Qdisc, error) { return h.QdiscList(link) })
	if err != nil {
		return false, fmt.Errorf("list queues: %w", err)
	}
	ours := func(q netlink.Qdisc) bool {
		return q.Attrs().Handle == rateHandle && q.Attrs().Parent == netlink.HANDLE_ROOT
	}
	i := slices.IndexFunc(have, ours)
	if bits == 0 || i < 0 {
		return bits == 0 && i < 0, nil
	}
	got, ok := have[i].(*netlink.Tbf)
	want := createQueue(link, bits)
	return ok && got.Rate == want.Rate && got.Limit == want.Limit && got.Buffer == want.Buffer && got.Peakrate == 0, nil
}
