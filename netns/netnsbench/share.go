package netnsbench

import (
	"net/netip"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// samples is the number of perf's samples a second.
const samples = 5000

// onPath are the kernel's functions that run rules and fences on a packet.
var onPath = []string{"nf_hook_slow", "__cgroup_bpf_run_filter_skb"}

// Share reports for each quantity the share of busy time in rules and fences on [NewLoad]'s
// processor. [Compare] measures the same from outside. Share is independent of the speed of the
// machine, which changes if other virtual machines share its hardware.
func Share(b *testing.B, quantities []Quantity, client *Load, to netip.Addr) {
	b.Helper()
	for _, q := range quantities {
		data := filepath.Join(b.TempDir(), "perf.data")
		record := exec.Command("perf", "record", "-q", "-g", "-e", "cpu-clock", "-F", strconv.Itoa(samples),
			"-C", strconv.Itoa(runtime.NumCPU()-1), "-o", data, "--", "sleep", "4")
		if err := record.Start(); err != nil {
			b.Fatalf("%v: install linux-perf", err)
		}
		client.Measure(q, to, 5*time.Second)
		if err := record.Wait(); err != nil {
			b.Fatalf("perf record: %v", err)
		}
		report, err := exec.Command("perf", "report", "-i", data, "--children", "-g", "none", "--stdio", "--sort", "sym").Output()
		if err != nil {
			b.Fatalf("perf report: %v", err)
		}
		b.Run(q.Name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(shareOf(report, onPath...), "%-of-busy")
		})
	}
}

// shareOf returns the share of busy time of functions, including what they call, from a report of
// perf.
func shareOf(report []byte, functions ...string) (sum float64) {
	for _, f := range functions {
		sum += sharesIn(report, f)
	}
	return 100 * sum / (100 - sharesIn(report, "do_idle"))
}

// sharesIn returns a function's percentage in a report. It is 0 if perf never saw the function.
func sharesIn(report []byte, function string) float64 {
	line := regexp.MustCompile(`(?m)^ +([0-9.]+)% .*\[k\] ` + regexp.QuoteMeta(function) + ` *$`)
	found := line.FindSubmatch(report)
	if found == nil {
		return 0
	}
	percent, _ := strconv.ParseFloat(string(found[1]), 64)
	return percent
}
