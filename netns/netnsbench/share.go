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

// samples is how often perf looks at what the processor does, each second.
const samples = 5000

// onPath are the kernel's functions, with all that they call, in which a packet meets rules and fences.
var onPath = []string{"nf_hook_slow", "__cgroup_bpf_run_filter_skb"}

// Share reports, for each quantity, what part of the processor's busy time goes into rules and fences while that load is at work
// on [NewLoad]'s processor alone. It is what [Compare] measures from outside, without what other machines do to this one's clock.
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

// shareOf is the sum of these functions' shares, with what they call, of the time that a report of perf finds the processor busy.
func shareOf(report []byte, functions ...string) (sum float64) {
	for _, f := range functions {
		sum += sharesIn(report, f)
	}
	return 100 * sum / (100 - sharesIn(report, "do_idle"))
}

// sharesIn is a function's percentage in a report; 0 where perf never saw it.
func sharesIn(report []byte, function string) float64 {
	line := regexp.MustCompile(`(?m)^ +([0-9.]+)% .*\[k\] ` + regexp.QuoteMeta(function) + ` *$`)
	found := line.FindSubmatch(report)
	if found == nil {
		return 0
	}
	percent, _ := strconv.ParseFloat(string(found[1]), 64)
	return percent
}
