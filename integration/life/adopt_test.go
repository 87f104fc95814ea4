package life

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// adopted is how many groups run while their daemon, or containerd, is killed.
const adopted = 50

// BenchmarkAdopt reports how long 50 groups are unattended, while none of them is touched. The
// daemon's time lasts from the start of the next one, after a kill, to its answer that each group
// runs. Containerd's time lasts from its kill until the daemon has checked each group in the next
// one.
func BenchmarkAdopt(b *testing.B) {
	for name, server := range machine.Servers(b) {
		b.Run(name, func(b *testing.B) { benchmarkAdopt(b, machine.New(b, server)) })
	}
}

func benchmarkAdopt(b *testing.B, m *machine.Machine) {
	before := map[string]map[string]uint32{}
	var files []group.Bundle
	for n := range adopted {
		name := fmt.Sprintf("g%d", n)
		text := fmt.Sprintf(three, machine.AttackImage, name)
		m.Apply(name+".hcl", text)
		before[name] = m.Pids(name)
		files = append(files, group.Bundle{Name: name + ".hcl", Path: m.Write(name+".hcl", text), HCL: []byte(text)})
	}
	var daemon, containerd []time.Duration
	for b.Loop() {
		m.Kill()
		start := time.Now()
		m.Start()
		for running := 0; running < adopted; {
			running = 0
			for _, g := range m.PS() {
				if g.State == group.Running {
					running++
				}
			}
		}
		daemon = append(daemon, time.Since(start))

		unix.Kill(m.Containerd(), unix.SIGKILL)
		start = time.Now()
		awaitAdopted(m, files)
		containerd = append(containerd, time.Since(start))
	}
	for name, pids := range before {
		if now := m.Pids(name); !maps.Equal(pids, now) {
			b.Errorf("%s was %v, and is %v", name, pids, now)
		}
	}
	b.ReportMetric(ms(median(daemon)), "daemon-ms")
	b.ReportMetric(ms(median(containerd)), "containerd-ms")
	b.ReportMetric(0, "ns/op")
}

// awaitAdopted applies the same files again and again, until each group was found to be as its file
// defines it. That needs a check that began after the apply.
func awaitAdopted(m *machine.Machine, files []group.Bundle) {
	m.T.Helper()
	client := m.Client()
	machine.Eventually(m.T, time.Minute, "all groups are seen to run", func() error {
		return client.Apply(context.Background(), files, nil)
	})
}
