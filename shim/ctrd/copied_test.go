package ctrd

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A printer is a process that prints what it is told to. The test holds its pipes, as a shim does.
type printer struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines io.WriteCloser
	pipe  *os.File
}

func newPrinter(t *testing.T, script string) *printer {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &printer{t: t, cmd: exec.Command("sh", "-c", script), pipe: r}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if p.lines, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		p.cmd.Wait()
		r.Close()
	})
	return p
}

// print returns once a line is in the pipe.
func (p *printer) print() {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.lines, "line"); err != nil {
		p.t.Fatal(err)
	}
	ends := p.ends()
	for end := time.Now().Add(time.Minute); ends.emptyEnd(0); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatal("it printed nothing")
		}
	}
}

// copy reads what is in the pipe.
func (p *printer) copy() {
	p.t.Helper()
	if _, err := p.pipe.Read(make([]byte, 4096)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *printer) ends() *outputEnds {
	p.t.Helper()
	pipes, ends := new(shimPipes).openOutputs(os.Getpid(), p.cmd.Process.Pid)
	defer pipes.close()
	if ends == nil {
		p.t.Fatal("its pipes were not found")
	}
	ends.inside = true
	return ends
}

// A copiedDesk looks at groups as EndedOutputs does.
type copiedDesk struct {
	t *testing.T
	o copiedOutputs
}

func newCopiedDesk(t *testing.T) *copiedDesk {
	d := &copiedDesk{t: t, o: copiedOutputs{root: t.TempDir()}}
	d.run("g", 1)
	return d
}

// run makes the processor time of a group's processes so many microseconds.
func (d *copiedDesk) run(group string, used int) {
	d.t.Helper()
	dir := filepath.Join(d.o.root, group)
	text := fmt.Sprintf("usage_usec %d\nuser_usec 0\nsystem_usec 0\nnr_periods %d\n", used, time.Now().UnixNano())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cpu.stat"), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// look looks at the group, and finds the pipes of all suspects that have nothing in them. It
// returns the suspects.
func (d *copiedDesk) look(printers map[string]*printer) []string {
	d.t.Helper()
	pids := map[string]uint32{}
	for name, p := range printers {
		pids[name] = uint32(p.cmd.Process.Pid)
	}
	names := d.o.suspects("g", "g", pids)
	found := map[string]outputEnds{}
	for _, name := range names {
		if ends := printers[name].ends(); ends.empty() {
			found[name] = *ends
		}
	}
	d.o.found("g", found)
	slices.Sort(names)
	return names
}

func (d *copiedDesk) want(when string, printers map[string]*printer, suspects ...string) {
	d.t.Helper()
	if got := d.look(printers); !slices.Equal(got, suspects) {
		d.t.Errorf("%s: suspects %q, want %q", when, got, suspects)
	}
}

const echo = "while read line; do echo $line; done"

func TestCopiedOutputs(t *testing.T) {
	d := newCopiedDesk(t)
	web := newPrinter(t, echo)
	all := map[string]*printer{"web": web, "ship": newPrinter(t, echo)}
	d.want("first", all, "ship", "web")
	d.want("nothing has run", all)
	d.run("g", 2)
	d.want("something has run, and all is copied", all)
	web.print()
	d.run("g", 3)
	d.want("a line is not copied", all, "web")
	d.want("it still isn't, and nothing has run", all, "web")
	web.copy()
	d.want("it is copied now", all, "web")
	d.want("and was found empty", all)

	all["web"] = newPrinter(t, echo)
	d.want("another process", all, "web")
	d.want("which was found empty", all)
	delete(all, "ship")
	d.want("one container less", all)
	d.want("none", nil)
	d.want("and again", all, "web")
}

// While nothing of a group has run, its pipes are not even opened.
func TestCopiedOutputsWhileNothingRuns(t *testing.T) {
	d := newCopiedDesk(t)
	web := newPrinter(t, echo)
	all := map[string]*printer{"web": web}
	d.want("first", all, "web")
	web.print() // but its processor time stays
	d.want("nothing is said to have run", all)
	if err := os.Remove(filepath.Join(d.o.root, "g", "cpu.stat")); err != nil {
		t.Fatal(err)
	}
	d.want("what has run is not known", all, "web")
}

// A process outside of the group's cgroup may print while that uses no processor time.
func TestCopiedOutputsOutsideOfTheCgroup(t *testing.T) {
	d := newCopiedDesk(t)
	web := newPrinter(t, echo)
	all := map[string]*printer{"web": web}
	d.want("first", all, "web")
	e := d.o.groups["g"].ends["web"]
	e.inside = false
	d.o.groups["g"].ends["web"] = e
	d.want("its pipe is empty", all)
	web.print()
	d.want("it has printed", all, "web")
}

// A process that puts something else in the place of an output is looked at again, and then not
// until it does so once more.
func TestCopiedOutputsOfOtherDescriptors(t *testing.T) {
	d := newCopiedDesk(t)
	// A process of its own prints "done". For what sh prints itself, its own output is led there.
	p := newPrinter(t, "read line; exec >/dev/null; (echo done >&2); cat")
	all := map[string]*printer{"web": p}
	d.want("first", all, "web")
	p.print()
	p.copy()
	d.run("g", 2)
	d.want("its output is another file", all, "web")
	d.run("g", 3)
	d.want("it stays that", all)
	if ends := d.o.groups["g"].ends["web"]; ends.held != [2]string{} {
		t.Errorf("control: it is judged by %q", ends.held)
	}
}

func TestBelowACgroup(t *testing.T) {
	const hybrid = "12:pids:/sallyport/g/members/web/leaf\n1:name=systemd:/x\n"
	for text, want := range map[string]bool{
		"0::/sallyport/g/members/web/leaf\n":          true,
		hybrid + "0::/sallyport/g/members/web/leaf\n": true,
		"0::/../sallyport/g/members/web\n":            true,
		hybrid + "0::/\n":                             false,
		hybrid:                                        false,
		"0::/sallyport/g2/members/web\n":              false,
		"":                                            false,
	} {
		if got := below([]byte(text), "/sallyport/g"); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	if inCgroup(1<<30, "") {
		t.Error("no process is in a cgroup")
	}
}

// Groups that are not asked about any more are forgotten.
func TestCopiedOutputsAreForgotten(t *testing.T) {
	d := newCopiedDesk(t)
	all := map[string]*printer{"web": newPrinter(t, echo)}
	d.want("first", all, "web")
	d.o.groups["g"].at = time.Now().Add(-copiedKept)
	d.o.suspects("h", "h", map[string]uint32{"web": 1})
	if _, kept := d.o.groups["g"]; kept || len(d.o.groups) != 1 {
		t.Errorf("kept: %v", d.o.groups)
	}
}
