package bound

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountFileSystem returns a folder on a file system of a kind.
func mountFileSystem(t *testing.T, kind string, size int64) string {
	t.Helper()
	if os.Geteuid() != 0 {
		need(t, "needs root")
	}
	dir := t.TempDir()
	mount := filepath.Join(dir, "mount")
	must(t, os.Mkdir(mount, 0o700))
	switch kind {
	case "tmpfs":
		must(t, unix.Mount("tmpfs", mount, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
	case "overlay":
		below := mountFileSystem(t, "tmpfs", size)
		for _, name := range []string{"lower", "upper", "work"} {
			must(t, os.Mkdir(filepath.Join(below, name), 0o700))
		}
		must(t, unix.Mount("overlay", mount, "overlay", 0, fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", below, below, below)))
	default:
		image := filepath.Join(dir, "image")
		f, err := os.Create(image)
		must(t, err)
		must(t, f.Truncate(size))
		must(t, f.Close())
		mkfs := "mkfs." + kind
		if _, err := exec.LookPath(mkfs); err != nil {
			t.Skip(err) // the file systems that each machine has are tested
		}
		if out, err := exec.Command(mkfs, image).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", mkfs, err, out)
		}
		if out, err := exec.Command("mount", "-o", "loop", image, mount).CombinedOutput(); err != nil {
			t.Skipf("mount %s: %v\n%s", kind, err, out)
		}
	}
	t.Cleanup(func() {
		if err := unix.Unmount(mount, 0); err != nil {
			t.Errorf("unmount %s: %v", kind, err)
		}
	})
	return mount
}

// need skips a test on a laptop and fails it in CI.
func need(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

const lineSize = 100 // of a numbered line

// writeUntilEOF appends numbered lines at full speed, 32 KiB at once as a shim does, until its
// standard input ends. Then it prints their number.
func writeUntilEOF(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		panic(err)
	}
	ended := make(chan struct{})
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); close(ended) }()
	line := []byte(fmt.Sprintf("%0*d\n", lineSize-1, 0))
	var text []byte
	lines, next := 0, time.Now()
	for {
		select {
		case <-ended:
			fmt.Println(lines)
			os.Exit(0)
		default:
		}
		for text = text[:0]; len(text) < 32<<10; text = append(text, line...) {
			for i := lineSize - 2; ; i-- { // adds one to the number
				if line[i]++; line[i] <= '9' {
					break
				}
				line[i] = '0'
			}
			lines++
		}
		if _, err := f.Write(text); err != nil {
			panic(err)
		}
		// It does not catch up: that would be more than full speed.
		next = next.Add(time.Duration(float64(len(text)) / fullSpeed * 1e9))
		for now := time.Now(); now.Before(next); now = time.Now() {
		}
		next = time.Now()
	}
}

// A process is a test binary that does something else.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// command starts the test binary again with a variable of the environment.
func command(t *testing.T, name, value string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), name+"="+value)
	p.cmd.Stderr = t.Output()
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	must(t, err)
	out, err := p.cmd.StdoutPipe()
	must(t, err)
	p.out = bufio.NewReader(out)
	must(t, p.cmd.Start())
	t.Cleanup(p.kill)
	return p
}

// await waits for a line.
func (p *process) await(line string) {
	p.t.Helper()
	if got, err := p.out.ReadString('\n'); err != nil || got != line+"\n" {
		p.t.Fatalf("it printed %q, %v; want %q", got, err, line)
	}
}

// finish ends the standard input and returns the number that the process prints.
func (p *process) finish() (n int) {
	p.t.Helper()
	must(p.t, p.stdin.Close())
	_, err := fmt.Fscan(p.out, &n)
	must(p.t, err)
	must(p.t, p.cmd.Wait())
	return n
}

// kill kills the process, unless it has ended.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// checkLines checks that the newest bytes of a file are there: whole lines, in order, once, up to
// the last one.
func checkLines(t *testing.T, path string, newest int64, last int) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	if int64(len(b)) != int64(last)*lineSize {
		t.Errorf("%s has %d bytes, want %d lines", path, len(b), last)
	}
	from := max(0, (int64(len(b))-newest)/lineSize+1)
	if int64(len(b)) <= newest {
		from = 0
	}
	for n := from; n < int64(last); n++ {
		if got, want := string(b[n*lineSize:(n+1)*lineSize]), fmt.Sprintf("%0*d\n", lineSize-1, n+1); got != want {
			t.Fatalf("%s: line %d of %d is %q", path, n+1, last, got)
		}
	}
}

// allocated returns how many bytes a file takes on the disk. One that is not there takes none.
func allocated(path string) int64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Blocks * 512
}

// The limit holds at full speed on each file system, and the newest bytes are all there.
func TestRootFileSystems(t *testing.T) {
	const limit = 50 << 20
	for _, kind := range []string{"tmpfs", "ext4", "xfs", "btrfs", "overlay"} {
		t.Run(kind, func(t *testing.T) {
			dir := mountFileSystem(t, kind, 600<<20)
			must(t, WriteSettings(dir, Settings{Size: limit, Total: 1 << 30, Removed: time.Hour}))
			must(t, os.Mkdir(filepath.Join(dir, "shop"), 0o750))
			bounder := command(t, boundIn, dir)
			bounder.await("started")
			// A machine that stands still for some milliseconds looks late. That does not happen
			// each time.
			held := false
			for try := 0; try < 10 && !held; try++ {
				path := filepath.Join(dir, "shop", fmt.Sprintf("web%d.log", try))
				most, lines := writeFor(t, path, time.Second, 2*limit)
				checkLines(t, path, limit, lines)
				t.Logf("%d MB, at most %.3f of the limit", lines*lineSize/1e6, float64(most)/limit)
				held = most <= limit+limit/10 && int64(lines*lineSize) > 2*limit
			}
			if !held {
				t.Error("the limit did not hold")
			}
			bounder.kill()
		})
	}
}

// writeFor writes to a file for a while, and on until it has written more than so many bytes, for a
// minute at most. It returns the most bytes that the file took on the disk meanwhile.
func writeFor(t *testing.T, path string, d time.Duration, written int64) (most int64, lines int) {
	writer := command(t, writeTo, path)
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for begin := time.Now(); time.Since(begin) < d || size() <= written && time.Since(begin) < time.Minute; {
		most = max(most, allocated(path))
		time.Sleep(200 * time.Microsecond)
	}
	return most, writer.finish()
}
