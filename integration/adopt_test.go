package integration

import (
	"fmt"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim"
)

// BenchmarkAdopt reports how long a daemon that was killed leaves 50 groups without one: from the start of the next to its
// answer that each runs, none of which it has touched.
func BenchmarkAdopt(b *testing.B) {
	for name, server := range servers(b) {
		b.Run(name, func(b *testing.B) { benchmarkAdopt(b, newMachine(b, server)) })
	}
}

func benchmarkAdopt(b *testing.B, m *machine) {
	const groups = 50
	before := map[string]uint32{}
	for n := range groups {
		name := fmt.Sprintf("g%d", n)
		m.apply(name+".hcl", fmt.Sprintf(three, attackImage, name))
		before[name] = m.pids(name)["app"]
	}
	var took []time.Duration
	for b.Loop() {
		m.kill()
		start := time.Now()
		m.start()
		for running := 0; running < groups; {
			running = 0
			for _, g := range m.ps() {
				if g.State == shim.Running {
					running++
				}
			}
		}
		took = append(took, time.Since(start))
	}
	for name, pid := range before {
		if now := m.pids(name)["app"]; now != pid {
			b.Errorf("the app of %s was %d, and is %d", name, pid, now)
		}
	}
	b.ReportMetric(ms(median(took)), "adopt-ms")
	b.ReportMetric(0, "ns/op")
}
