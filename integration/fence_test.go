package integration

import (
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// dropFence takes every program off a cgroup that packets of its sockets pass.
func dropFence(t testing.TB, cgroup string) {
	t.Helper()
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, direction := range []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress} {
		found, err := link.QueryPrograms(link.QueryOptions{Target: int(dir.Fd()), Attach: direction})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range found.Programs {
			p, err := ebpf.NewProgramFromID(x.ID)
			if err != nil {
				t.Fatal(err)
			}
			err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(dir.Fd()), Program: p, Attach: direction})
			p.Close()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}
