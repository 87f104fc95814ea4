package netnsbench

import (
	"math"
	"testing"
)

func TestShareIsOfBusyTime(t *testing.T) {
	report := []byte(`# Children      Self  Symbol
    50.00%     0.01%  [k] do_idle
     2.00%     0.39%  [k] nf_hook_slow
     9.00%     9.00%  [k] nf_hook_slow_list
     0.50%     0.44%  [k] __cgroup_bpf_run_filter_skb
`)
	if got := shareOf(report, onPath...); math.Abs(got-5) > 1e-9 {
		t.Errorf("2.5 of 50 busy is %v %%, want 5", got)
	}
	if got := shareOf(nil, onPath...); got != 0 {
		t.Errorf("an empty report has a share of %v", got)
	}
}
