package netnsbench

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A Load is a process that makes or serves load in a namespace and from a cgroup. It is the same
// program in every arm, with blocking sockets and one connection at a time. So only the path
// between two loads differs.
type Load struct {
	t   testing.TB
	in  io.WriteCloser
	out *json.Decoder
}

// NewLoad starts a process in a namespace and a cgroup. A nil namespace and an empty cgroup path
// mean the test's own. It ends with the test. All loads share one processor. So the measurements do
// not include the time that an idle processor takes to wake.
func NewLoad(t testing.TB, ns *os.File, path string) *Load {
	t.Helper()
	return NewLoadOn(t, runtime.NumCPU()-1, ns, path)
}

// NewLoadOn is [NewLoad] on a given processor. On different processors both ends work at the same
// time, as in practice.
func NewLoadOn(t testing.TB, cpu int, ns *os.File, path string) *Load {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{loadName}
	cmd.Stderr = os.Stderr
	cmd.Env = []string{fmt.Sprintf("%s=%d", loadCPU, cpu)}
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if path != "" {
		h, err := cgroup.FindHierarchies()
		if err != nil {
			t.Fatal(err)
		}
		dir, err := os.Open(filepath.Join(h.V2, path))
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	netnstest.In(t, ns, cmd.Start)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &Load{t: t, in: in, out: json.NewDecoder(bufio.NewReader(out))}
}

// A Quantity is something that a load measures.
type Quantity struct {
	Name string
	Unit string
	op   loadOp
}

// The quantities, and how they are measured. Each begins with a warm-up that does not count.
var (
	Throughput     = Quantity{"throughput", "Gbit/s", opStream}       // of one connection, until its last byte is read
	Latency        = Quantity{"request-latency", "us", opAsk}         // median of 64 bytes there and 64 back
	ConnectRate    = Quantity{"connections", "connections/s", opCall} // from the median: open, a byte each way, close
	RefusedConnect = Quantity{"tcp-refused", "us", opRefuseTCP}       // median of a TCP connect that fails
	RefusedSend    = Quantity{"udp-refused", "us", opRefuseUDP}       // median of a UDP send that fails
	PassedSend     = Quantity{"udp-passed", "us", opSendUDP}          // median of a UDP send that succeeds: the control
)

// Path has the quantities of a path that lets traffic pass.
var Path = []Quantity{Throughput, Latency, ConnectRate}

// Serve serves load on ports LoadPort to LoadPort+LoadPorts-1 of every address.
func (l *Load) Serve() {
	l.t.Helper()
	l.call(loadRequest{Op: opServe})
}

// Measure makes load for about the given time and returns the quantity.
func (l *Load) Measure(q Quantity, to netip.Addr, d time.Duration) float64 {
	l.t.Helper()
	return l.call(loadRequest{Op: q.op, To: to, For: d}).Value
}

func (l *Load) call(r loadRequest) (got loadReply) {
	l.t.Helper()
	err := json.NewEncoder(l.in).Encode(r)
	if err = cmp.Or(err, l.out.Decode(&got)); err != nil {
		l.t.Fatalf("load %s: %v", r.Op, err)
	}
	if got.Error != "" {
		l.t.Fatalf("load %s to %s: %s", r.Op, r.To, got.Error)
	}
	return got
}
