package life

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// asleep is the body of a container of image %[1]s. It does nothing, and ends at once.
const asleep = `
    image   = "%[1]s"
    command = ["/bin/sleep", "1000"]
    stop    { signal = "SIGKILL" }
`

// three is a group of three busybox containers with a link, as large as the example of the README.
const three = `
group "%[2]s" {
  app "app" {` + asleep + `  }
  sidecar "side" {` + asleep + `  }
  ambassador "amb" {` + asleep + `  }
}
`

// settle is the time that kernel and containerd get to clean up after a group is gone, so that the
// next measurement doesn't include it.
const settle = 200 * time.Millisecond

// BenchmarkApply starts a group of three through the control socket, the same by the command, and
// the same three by plain client calls, in turn, on both containerds. It reports the medians in ms,
// their ratios, and how the apply's time splits.
func BenchmarkApply(b *testing.B) {
	for name, server := range machine.Servers(b) {
		b.Run(name, func(b *testing.B) { benchmarkApply(b, machine.New(b, server)) })
	}
}

func benchmarkApply(b *testing.B, m *machine.Machine) {
	text := fmt.Sprintf(three, machine.AttackImage, "warm")
	m.Apply("warm.hcl", text) // imports the image, and keeps a namespace for the floor
	f := newFloor(b, filepath.Join(m.Root, "run", "containerd", "containerd.sock"), m.ContainerdNamespace(), filepath.Join(m.Root, "run", "netns", "warm"))
	client := m.Client()
	bundle := group.Bundle{Name: "g.hcl", Path: "/nowhere/g.hcl", HCL: []byte(fmt.Sprintf(three, machine.AttackImage, "g"))}
	file := m.Write("c.hcl", fmt.Sprintf(three, machine.AttackImage, "c"))
	var ours, commands, floors []time.Duration
	for b.Loop() {
		start := time.Now()
		if err := f.up(); err != nil {
			b.Fatal(err)
		}
		floors = append(floors, time.Since(start))
		if err := f.down(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(settle)
		start = time.Now()
		if err := client.Apply(context.Background(), []group.Bundle{bundle}, nil); err != nil {
			b.Fatal(err)
		}
		ours = append(ours, time.Since(start))
		if err := client.Remove(context.Background(), "g", nil); err != nil {
			b.Fatal(err)
		}
		time.Sleep(settle)
		start = time.Now()
		m.Run("apply", file)
		commands = append(commands, time.Since(start))
		m.Run("rm", "c")
		time.Sleep(settle)
	}
	theirs := containerdsPart(m.Out.String(), len(ours))
	b.ReportMetric(ms(median(ours)), "apply-ms")
	b.ReportMetric(ms(theirs), "in-containerd-ms")
	b.ReportMetric(ms(median(ours)-theirs), "in-sallyport-ms")
	b.ReportMetric(ms(median(floors)), "floor-ms")
	b.ReportMetric(ms(median(commands)), "command-ms")
	b.ReportMetric(float64(median(commands))/float64(median(floors)), "command/floor")
	b.ReportMetric(float64(median(ours))/float64(median(floors)), "apply/floor")
	b.ReportMetric(0, "ns/op")
}

// containerdsPart returns how long a group of three took on average in create and start, from the
// daemon's log of each step. Nearly all of that time is containerd's and runc's.
func containerdsPart(log string, applies int) (part time.Duration) {
	for line := range strings.Lines(log) {
		_, rest, ours := strings.Cut(line, "group=g took=")
		if !ours || !strings.Contains(line, `msg="create `) && !strings.Contains(line, `msg="start `) {
			continue
		}
		if took, err := time.ParseDuration(strings.TrimSpace(rest)); err == nil {
			part += took
		}
	}
	return part / time.Duration(applies)
}

// BenchmarkMemory reports the daemon's resident memory in MiB with 1 and with 20 groups of three.
func BenchmarkMemory(b *testing.B) {
	m := machine.New(b, "")
	for b.Loop() {
		for i := 1; i <= 20; i++ {
			name := fmt.Sprintf("g%d", i)
			m.Apply(name+".hcl", fmt.Sprintf(three, machine.AttackImage, name))
			if i == 1 || i == 20 {
				b.ReportMetric(machine.ResidentMiB(b, m.Daemon.Process.Pid), fmt.Sprintf("MiB-%d-groups", i))
			}
		}
		for i := 1; i <= 20; i++ {
			m.Run("rm", fmt.Sprintf("g%d", i))
		}
	}
	b.ReportMetric(0, "ns/op")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
