package cgroups

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/spec"
)

func TestKnobs(t *testing.T) {
	swap, none := int64(16<<20+1), int64(0)
	for _, tt := range []struct {
		name   string
		r      spec.Resources
		v2, v1 map[string]string
	}{
		{
			"no limit", spec.Resources{},
			map[string]string{"cpu.max": "max 100000", "memory.max": "max", "memory.swap.max": "max", "pids.max": "max", "io.weight": "100"},
			map[string]string{
				"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "memory.limit_in_bytes": "-1", "memory.memsw.limit_in_bytes": "-1",
				"pids.max": "max", "blkio.bfq.weight": "100",
			},
		},
		{
			"every limit", spec.Resources{CPU: 1.5, Memory: 64<<20 + 1, Swap: &swap, PIDs: 17, IOWeight: 5000},
			map[string]string{"cpu.max": "150000 100000", "memory.max": "67108864", "memory.swap.max": "16777216", "pids.max": "17", "io.weight": "5000"},
			map[string]string{
				"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "150000", "memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "83886080",
				"pids.max": "17", "blkio.bfq.weight": "1000",
			},
		},
		{
			"no swap", spec.Resources{Memory: 64 << 20, Swap: &none},
			map[string]string{"cpu.max": "max 100000", "memory.max": "67108864", "memory.swap.max": "0", "pids.max": "max", "io.weight": "100"},
			map[string]string{
				"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1", "memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864",
				"pids.max": "max", "blkio.bfq.weight": "100",
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.v2, values(knobsV2(tt.r))); diff != "" {
				t.Errorf("v2 (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.v1, values(knobsV1(tt.r))); diff != "" {
				t.Errorf("v1 (-want +got):\n%s", diff)
			}
		})
	}
}

func values(knobs []knob) map[string]string {
	out := map[string]string{}
	for _, k := range knobs {
		out[k.file] = k.value()
	}
	return out
}

// On a unified host without io.cost.qos only BFQ weighs, whose scale ends at 1000.
func TestWeightForScheduler(t *testing.T) {
	c := &Cgroups{v2: t.TempDir()}
	weigh := func(weight uint16) string {
		for _, k := range c.knobs(spec.Resources{IOWeight: weight}) {
			if k.controller == "io" {
				return k.file + " " + k.value()
			}
		}
		return "no weight"
	}
	for weight, want := range map[uint16]string{0: "io.bfq.weight 100", 50: "io.bfq.weight 50", 10000: "io.bfq.weight 1000"} {
		if got := weigh(weight); got != want {
			t.Errorf("weight %d: %s, want %s", weight, got, want)
		}
	}
	if err := os.WriteFile(filepath.Join(c.v2, "io.cost.qos"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := weigh(10000); got != "io.weight 10000" {
		t.Errorf("with io.cost.qos: %s", got)
	}
}

func TestKnobMatches(t *testing.T) {
	for _, tt := range []struct {
		name    string
		knob    knob
		content string
		want    bool
	}{
		{"no limit in v2", knob{unlimited: "max"}, "max\n", true},
		{"a limit where none is wanted", knob{unlimited: "max"}, "17\n", false},
		{"no memory limit in v1", knob{unlimited: "-1"}, "9223372036854771712\n", true},
		{"no CPU limit in v1", knob{unlimited: "-1"}, "-1\n", true},
		{"the wanted limit", knob{unlimited: "max", limit: "17"}, "17\n", true},
		{"another limit", knob{unlimited: "max", limit: "17"}, "170\n", false},
		{"no limit where one is wanted", knob{unlimited: "-1", limit: "4096"}, "9223372036854771712\n", false},
		{"two numbers", knob{unlimited: "max 100000", limit: "50000 100000"}, "50000 100000\n", true},
		{"another period", knob{unlimited: "max 100000", limit: "50000 100000"}, "50000 50000\n", false},
		{"a weight in v2 and one of a single disk", knob{unlimited: "100", limit: "50"}, "default 50\n8:0 200\n", true},
		{"a weight in v1", knob{unlimited: "100", limit: "50"}, "50\n", true},
	} {
		if got := tt.knob.matches(tt.content); got != tt.want {
			t.Errorf("%s: matches is %v, want %v", tt.name, got, tt.want)
		}
	}
}
