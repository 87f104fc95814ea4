package egress

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/sallyport/sallyport/netns/cgroup"
)

// SelfTestBy is [SelfTest] with another way to put the rules in force, to imitate a kernel that
// lacks something.
var SelfTestBy = testSelf

// AttachSeparation attaches the programs for one cgroup to another.
func AttachSeparation(t *testing.T, h cgroup.Hierarchies, of, to string) {
	t.Helper()
	c, err := h.Find(of)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := separations(c)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(filepath.Join(h.V2, to))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, b := range programs {
		p, err := b.load()
		if err != nil {
			t.Fatal(err)
		}
		defer p.release()
		if err := link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(dir.Fd()), Program: p.Program, Attach: b.hook}); err != nil {
			t.Fatal(err)
		}
	}
}
