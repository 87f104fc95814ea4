package life

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

var (
	scaleGroups = flag.String("scale", "20", "numbers of groups of BenchmarkScale, each larger than the one before")
	scaleShim   = flag.String("shim", "group", "the daemon's --shim in BenchmarkScale")
)

const (
	scaleBatch  = 20               // groups that one command applies while a benchmark gets ready
	scaleWindow = 30 * time.Second // in which each group is looked at once without a cause
	scaleRounds = 5                // applies and adoptions; the median counts
	atOnce      = 100
)

// BenchmarkScale has more and more small groups beside each other. For each number it reports:
//
//   - apply-ms: one apply more, and apply/first: its ratio to the first on the host
//   - daemon-ms/s, containerd-ms/s, shims-ms/s, calls/s: the processor's time and the daemon's
//     system calls in a second in which nothing happens
//   - daemon-MiB, containerd-MiB, shims-MiB, MiB/group: the memory of all but the containers (PSS),
//     and that of one group more since the number before
//   - adopt-ms: from the start of another daemon to its answer that all groups run
func BenchmarkScale(b *testing.B) {
	m := machine.NewIdle(b, "")
	m.Args = []string{"--shim", *scaleShim}
	m.Start()
	image := machine.PauseImage(b)
	first := nextApply(b, m, image)
	there, before := 0, supportMemory(m).sum()
	for _, size := range strings.Split(*scaleGroups, ",") {
		n, err := strconv.Atoi(size)
		if err != nil || n <= there {
			b.Fatalf("-scale %s: want numbers, each larger than the one before", *scaleGroups)
		}
		grow(m, image, there, n)
		b.Run(fmt.Sprintf("shim=%s/groups=%d", *scaleShim, n), func(b *testing.B) {
			next := nextApply(b, m, image)
			b.ReportMetric(ms(next), "apply-ms")
			b.ReportMetric(float64(next)/float64(first), "apply/first")
			reportRest(b, m)
			memory := supportMemory(m)
			b.ReportMetric(memory.daemon, "daemon-MiB")
			b.ReportMetric(memory.containerd, "containerd-MiB")
			b.ReportMetric(memory.shims, "shims-MiB")
			b.ReportMetric((memory.sum()-before)/float64(n-there), "MiB/group")
			before = memory.sum()
			b.ReportMetric(ms(adoption(m, n)), "adopt-ms")
			b.ReportMetric(0, "ns/op")
		})
		there = n
	}
}

// grow applies small groups until there are n.
func grow(m *machine.Machine, image string, there, n int) {
	for ; there < n; there += scaleBatch {
		dir := writePausing(m, image, fmt.Sprintf("s%d-", there), min(scaleBatch, n-there))
		m.Run("apply", dir)
	}
}

// nextApply returns how long an apply of one small group more takes. The group is removed again.
func nextApply(b *testing.B, m *machine.Machine, image string) time.Duration {
	b.Helper()
	client := m.Client()
	bundle := group.Bundle{Name: "next.hcl", Path: "/nowhere/next.hcl", HCL: []byte(fmt.Sprintf(pausing, image, "next"))}
	var took []time.Duration
	for range scaleRounds {
		start := time.Now()
		if err := client.Apply(context.Background(), []group.Bundle{bundle}, nil); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
		if err := client.Remove(context.Background(), "next", nil); err != nil {
			b.Fatal(err)
		}
		time.Sleep(settle)
	}
	return median(took)
}

// reportRest reports what runs while nothing happens.
func reportRest(b *testing.B, m *machine.Machine) {
	b.Helper()
	time.Sleep(scaleWindow) // for what follows the last change
	ours, containerd, shims := []int{m.Daemon.Process.Pid, m.OutputProcess()}, []int{m.Containerd()}, m.Shims()
	counted := machine.CountSystemCalls(b, ours...)
	for _, part := range []struct {
		name string
		pids []int
	}{{"daemon", ours}, {"containerd", containerd}, {"shims", shims}} {
		before := machine.ProcessorTime(b, part.pids...)
		defer func() {
			used := machine.ProcessorTime(b, part.pids...) - before
			b.ReportMetric(ms(used)/scaleWindow.Seconds(), part.name+"-ms/s")
		}()
	}
	time.Sleep(scaleWindow)
	b.ReportMetric(float64(counted.Close())/scaleWindow.Seconds(), "calls/s")
}

// A support is the memory of all but the containers, in MiB.
type support struct{ daemon, containerd, shims float64 }

func (s support) sum() float64 { return s.daemon + s.containerd + s.shims }

func supportMemory(m *machine.Machine) support {
	return support{
		machine.SharedMiB(m.T, m.Daemon.Process.Pid, m.OutputProcess()), machine.SharedMiB(m.T, m.Containerd()), machine.SharedMiB(m.T, m.Shims()...),
	}
}

// adoption returns how long after a kill the next daemon reports each of n groups as running.
func adoption(m *machine.Machine, n int) time.Duration {
	var took []time.Duration
	for range scaleRounds {
		m.Kill()
		start := time.Now()
		m.Start()
		for running := 0; running < n; {
			running = 0
			for _, g := range m.PS() {
				if g.State == group.Running {
					running++
				}
			}
		}
		took = append(took, time.Since(start))
	}
	return median(took)
}

// BenchmarkAtOnce applies 100 files at once, each with a small group. It reports how many applies
// fail, and how long all of them take.
func BenchmarkAtOnce(b *testing.B) {
	m := machine.New(b, "")
	image := machine.PauseImage(b)
	client := m.Client()
	nextApply(b, m, image) // imports the image
	var failed atomic.Int64
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		eachAtOnce(func(name string) error {
			bundle := group.Bundle{Name: name + ".hcl", Path: "/nowhere/" + name + ".hcl", HCL: []byte(fmt.Sprintf(pausing, image, name))}
			err := client.Apply(context.Background(), []group.Bundle{bundle}, nil)
			if err != nil {
				b.Logf("%s: %v", name, err)
				failed.Add(1)
			}
			return err
		})
		took = append(took, time.Since(start))
		if err := eachAtOnce(func(name string) error { return client.Remove(context.Background(), name, nil) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(failed.Load())/float64(len(took)*atOnce)*100, "%-failed")
	b.ReportMetric(ms(median(took)), "all-ms")
	b.ReportMetric(0, "ns/op")
}

// eachAtOnce calls do for the names of 100 groups at once.
func eachAtOnce(do func(name string) error) error {
	var all sync.WaitGroup
	errs := make([]error, atOnce)
	for n := range errs {
		all.Go(func() { errs[n] = do(fmt.Sprintf("a%d", n)) })
	}
	all.Wait()
	return errors.Join(errs...)
}
