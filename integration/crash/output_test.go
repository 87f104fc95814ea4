package crash

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/logs/bound"
)

const (
	outputLimit = 50 << 20
	outputLines = 2_000_000 // of all printers together
	outputLine  = 300       // bytes of each
)

// printers is a group of three that print numbered lines at full speed, and then rest.
const printers = `
locals {
  print = ["/bin/sh", "-c", "awk 'BEGIN { for (i = 1; i <= %[2]d; i++) printf \"%%0%[3]dd\\n\", i }'; exec sleep 100000"]
}
group "printers" {
  egress = "none"
  app "one" {
    image   = "%[1]s"
    command = local.print
    stop { timeout = "1s" }
  }
  app "two" {
    image   = "%[1]s"
    command = local.print
    stop { timeout = "1s" }
  }
  app "three" {
    image   = "%[1]s"
    command = local.print
    stop { timeout = "1s" }
  }
}
`

// TestOutputBounded lets three containers print far more than their limit while the daemon, and
// then the process that bounds the output, is killed.
func TestOutputBounded(t *testing.T) {
	t.Parallel()
	m := machine.NewIdle(t, "")
	writeConfiguration(t, m, outputLimit, "")
	m.Start()
	bounding := awaitBounding(m, 0)
	o := &outputs{m: m, lines: outputLines/3 + 1}
	// To free a head may take 30 ms if the disk has much to write. That does not happen each time.
	held := false
	for try := 0; try < 8 && !held; try++ {
		done := o.watch()
		if try == 0 {
			m.Apply("printers.hcl", fmt.Sprintf(printers, machine.AttackImage, o.lines, outputLine-1))
		} else {
			m.Run("restart", "printers")
		}
		for range 5 {
			m.Kill()
			m.Start()
		}
		o.await(try + 1)
		most := done()
		t.Logf("at most %.3f of the limit", float64(most)/outputLimit)
		held = most <= outputLimit+outputLimit/10
	}
	if !held {
		t.Error("the limit did not hold")
	}
	o.check()
	if now := awaitBounding(m, 0); now != bounding {
		t.Errorf("process %d bounds the output, and was %d before the kills of the daemon", now, bounding)
	}

	// The process itself is killed. While there is none, nothing is bounded.
	done := o.watch()
	m.Run("restart", "printers")
	for range 5 {
		killed := awaitBounding(m, 0)
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		awaitBounding(m, killed)
	}
	o.await(o.runs + 1)
	t.Logf("with kills of the process, at most %.3f of the limit", float64(done())/outputLimit)
	o.check()
	machine.Eventually(t, time.Minute, "the limits hold again", func() error {
		if most := o.most(); most > outputLimit+outputLimit/10 {
			return fmt.Errorf("an output takes %d bytes", most)
		}
		return nil
	})

	// Nothing of this is said to be wrong, and a reload changes the limit.
	if out := m.All("doctor"); !strings.Contains(out, "bounds it") {
		t.Errorf("doctor:\n%s", out)
	}
	writeConfiguration(t, m, 1<<20, "")
	m.Daemon.Process.Signal(syscall.SIGHUP)
	machine.Eventually(t, time.Minute, "a smaller limit is applied", func() error {
		if most := o.most(); most > 1<<20+1<<20/10 {
			return fmt.Errorf("an output takes %d bytes", most)
		}
		return nil
	})
}

func writeConfiguration(t *testing.T, m *machine.Machine, size int, more string) {
	t.Helper()
	text := fmt.Sprintf("output {\n  size = \"%dKiB\"\n  %s\n}\n", size>>10, more)
	if err := os.WriteFile(filepath.Join(m.Root, "sallyport.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// awaitBounding returns the process that bounds the output, once it is another one than before.
func awaitBounding(m *machine.Machine, before int) (pid int) {
	m.T.Helper()
	machine.Eventually(m.T, time.Minute, "a process bounds the output", func() (err error) {
		if pid, err = bound.Holder(filepath.Join(m.Root, "log")); err == nil && (pid == 0 || pid == before) {
			err = fmt.Errorf("process %d", pid)
		}
		return err
	})
	return pid
}

// outputs are those of the printers.
type outputs struct {
	m     *machine.Machine
	lines int // of each, in one run
	runs  int
}

func (o *outputs) paths() (paths []string) {
	for _, name := range []string{"one", "two", "three"} {
		paths = append(paths, filepath.Join(o.m.Root, "log", "printers", name+".log"))
	}
	return paths
}

// most returns how many bytes the largest output takes on the disk.
func (o *outputs) most() (most int64) {
	for _, path := range o.paths() {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil {
			most = max(most, st.Blocks*512)
		}
	}
	return most
}

// watch looks at the outputs until the function that it returns is called, which returns the most
// that one of them took.
func (o *outputs) watch() (done func() int64) {
	ctx, cancel := context.WithCancel(context.Background())
	found := make(chan int64, 1)
	go func() {
		most := int64(0)
		for ; ctx.Err() == nil; time.Sleep(time.Millisecond) {
			most = max(most, o.most())
		}
		found <- most
	}()
	return func() int64 { cancel(); return <-found }
}

// await waits until each printer has printed all of its lines in so many runs.
func (o *outputs) await(runs int) {
	o.m.T.Helper()
	o.runs = runs
	machine.Eventually(o.m.T, time.Minute, "all is printed", func() error {
		for _, path := range o.paths() {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if want := int64(runs * o.lines * outputLine); info.Size() < want {
				return fmt.Errorf("%s has %d bytes of %d", path, info.Size(), want)
			}
		}
		return nil
	})
}

// check checks that the newest bytes of each output are there: whole lines, in order, once.
func (o *outputs) check() {
	o.m.T.Helper()
	for _, path := range o.paths() {
		f, err := os.Open(path)
		if err != nil {
			o.m.T.Fatal(err)
		}
		defer f.Close()
		all := o.runs * o.lines
		if info, err := f.Stat(); err != nil || info.Size() != int64(all)*outputLine {
			o.m.T.Errorf("%s has %d bytes, want %d: lines are missing, or there twice", path, info.Size(), all*outputLine)
		}
		kept := outputLimit / outputLine
		text := make([]byte, kept*outputLine)
		if _, err := f.ReadAt(text, int64(all-kept)*outputLine); err != nil {
			o.m.T.Fatal(err)
		}
		for i := range kept {
			n := all - kept + i
			got, want := string(text[i*outputLine:(i+1)*outputLine]), fmt.Sprintf("%0*d\n", outputLine-1, n%o.lines+1)
			if got != want {
				o.m.T.Fatalf("%s: line %d of %d is %q", path, n+1, all, got)
			}
		}
	}
}

// TestOutputOnSmallDisk lets a container print without end where the disk of the output has 100 MiB
// free. Nothing else notices.
func TestOutputOnSmallDisk(t *testing.T) {
	t.Parallel()
	m := machine.NewIdle(t, "")
	dir := filepath.Join(m.Root, "log")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("log", dir, "tmpfs", 0, "size=100m,mode=750"); err != nil {
		t.Fatal(err)
	}
	m.Unmount = func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}
	writeConfiguration(t, m, 50<<20, `total = "10GiB"`) // so the disk alone sets the limit
	m.Start()
	m.Apply("steady.hcl", fmt.Sprintf(`group "steady" {
  egress = "none"
  app "app" {
    image   = "%s"
    command = ["/bin/sh", "-c", "while :; do echo steady; sleep 0.1; done"]
    stop { timeout = "1s" }
  }
}
`, machine.AttackImage))
	before := m.Pids("steady")["app"]
	var apps strings.Builder
	for i := range 4 { // each has a limit of 50 MiB
		fmt.Fprintf(&apps, "app \"app%d\" {\nimage = %q\ncommand = [\"yes\", \"something that fills the disk\"]\nstop { timeout = \"1s\" }\n}\n", i, machine.AttackImage)
	}
	m.Apply("endless.hcl", "group \"endless\" {\negress = \"none\"\n"+apps.String()+"}\n")

	least := int64(1 << 40)
	printed := func(name string) (sum int64) {
		paths, _ := filepath.Glob(filepath.Join(dir, name, "*.log"))
		for _, path := range paths {
			if info, err := os.Stat(path); err == nil {
				sum += info.Size()
			}
		}
		return sum
	}
	steady := printed("steady")
	for deadline := time.Now().Add(time.Minute); printed("endless") < 150<<20 || printed("steady") < steady+35; time.Sleep(time.Millisecond) {
		var st unix.Statfs_t
		if err := unix.Statfs(dir, &st); err != nil {
			t.Fatal(err)
		}
		least = min(least, int64(st.Bavail)*st.Frsize)
		if time.Now().After(deadline) {
			t.Fatalf("printed %d bytes without end, and %d steadily", printed("endless"), printed("steady")-steady)
		}
	}
	t.Logf("at least %d MiB were free", least>>20)
	if least < 40<<20 {
		t.Errorf("only %d MiB were free", least>>20)
	}
	if err := os.WriteFile(filepath.Join(dir, ".another"), make([]byte, 20<<20), 0o600); err != nil {
		t.Errorf("another program: %v", err)
	}
	if now := m.Pids("steady")["app"]; now != before {
		t.Errorf("another group's process was %d, and is %d", before, now)
	}
	if out := m.Run("ps"); strings.Contains(out, "is full") {
		t.Errorf("ps:\n%s", out)
	}
	m.Run("rm", "endless")
}
