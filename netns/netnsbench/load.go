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

// A Load is a process that makes or takes load in a namespace and from a cgroup, for benchmarks: the same program in every
// arm, on blocking sockets and one connection at a time, so that what differs is the path between.
type Load struct {
	t   testing.TB
	in  io.WriteCloser
	out *json.Decoder
}

// NewLoad starts a process in a namespace, nil for the test's own, and in a cgroup, "" for the test's own. It ends with the
// test. All of them share one processor: what they wait for each other is no part of what is measured, and neither is how long
// an idle processor takes to wake.
func NewLoad(t testing.TB, ns *os.File, path string) *Load {
	t.Helper()
	return NewLoadOn(t, runtime.NumCPU()-1, ns, path)
}

// NewLoadOn is [NewLoad] on a processor of one's choice, for what users have: the two ends at work at the same time.
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

// A Quantity is what a load measures.
type Quantity struct {
	Name string
	Unit string
	op   loadOp
}

// The quantities, and how they are measured. Each begins with a warm-up that does not count.
var (
	Throughput     = Quantity{"throughput", "Gbit/s", opStream}       // of one connection, to the last byte taken
	Latency        = Quantity{"request-latency", "us", opAsk}         // median of 64 bytes there and 64 back
	ConnectRate    = Quantity{"connections", "connections/s", opCall} // by the median of opened, a byte each way, closed by the caller
	RefusedConnect = Quantity{"tcp-refused", "us", opRefuseTCP}       // median of a TCP connect that fails
	RefusedSend    = Quantity{"udp-refused", "us", opRefuseUDP}       // median of a UDP send that fails
	PassedSend     = Quantity{"udp-passed", "us", opSendUDP}          // median of a UDP send that does not: the control
)

// Path is all there is to measure of a path that lets traffic pass.
var Path = []Quantity{Throughput, Latency, ConnectRate}

// Serve takes load on ports from LoadPort to LoadPort+LoadPorts-1 of every address.
func (l *Load) Serve() {
	l.t.Helper()
	l.call(loadRequest{Op: opServe})
}

// Measure makes load for about that long.
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
