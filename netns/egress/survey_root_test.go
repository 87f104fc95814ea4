package egress_test

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/netnstest"
)

// A surveyHost has the cgroups of three groups, each fenced and, where the kernel can, separated.
type surveyHost struct {
	*testing.T
	h      cgroup.Hierarchies
	root   string
	groups []string
	apart  bool
}

func newSurveyHost(t *testing.T) *surveyHost {
	t.Helper()
	netnstest.Root(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	s := &surveyHost{T: t, h: h, root: netnstest.CgroupRoot()}
	t.Cleanup(func() { s.must(h.Remove(s.root)) })
	for i := range 3 {
		s.groups = append(s.groups, path.Join(s.root, fmt.Sprint("g", i)))
	}
	s.makeGroups()
	return s
}

func (s *surveyHost) makeGroups() {
	s.Helper()
	s.apart = true
	for _, g := range s.groups {
		s.make(path.Join(g, "ambassador/proxy/leaf"))
		s.make(path.Join(g, "members/web/leaf"))
		s.must(egress.Fence(s.h, path.Join(g, "members"), netns.PortsOf(443)))
		for _, side := range []string{"members", "ambassador"} {
			s.apart = egress.Separate(s.h, path.Join(g, side)) == nil && s.apart
		}
	}
}

func (s *surveyHost) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *surveyHost) make(path string) {
	s.Helper()
	_, err := s.h.Make(path)
	s.must(err)
}

// prints skips the test on a kernel that can't survey. One of 6.1 or later with its types can.
func (s *surveyHost) prints(survey *egress.Survey) map[string]uint64 {
	s.Helper()
	got, err := survey.Prints(s.groups)
	if err != nil && os.Getenv("CI") == "" {
		s.Skip(err)
	}
	s.must(err)
	return got
}

// passes loads a program that lets everything pass. Each has another tag.
func (s *surveyHost) passes(hook ebpf.AttachType, n int) *ebpf.Program {
	s.Helper()
	kind := ebpf.CGroupSKB
	if hook == ebpf.AttachCGroupInet4Bind || hook == ebpf.AttachCGroupInet6Bind {
		kind = ebpf.CGroupSockAddr
	}
	if hook == ebpf.AttachCGroupInetSockCreate {
		kind = ebpf.CGroupSock
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "theirs", Type: kind, AttachType: hook, License: "MIT",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R1, int32(n)), asm.Mov.Imm(asm.R0, 1), asm.Return()}})
	s.must(err)
	s.Cleanup(func() { p.Close() })
	return p
}

func (s *surveyHost) open(path string) *os.File {
	s.Helper()
	dir, err := os.Open(filepath.Join(s.h.V2, path))
	s.must(err)
	s.Cleanup(func() { dir.Close() })
	return dir
}

func (s *surveyHost) attach(at string, p *ebpf.Program, hook ebpf.AttachType, flags uint32) {
	s.Helper()
	s.must(link.RawAttachProgram(link.RawAttachProgramOptions{Target: int(s.open(at).Fd()), Program: p, Attach: hook, Flags: flags}))
}

func (s *surveyHost) detach(at string, p *ebpf.Program, hook ebpf.AttachType) {
	s.Helper()
	s.must(link.RawDetachProgram(link.RawDetachProgramOptions{Target: int(s.open(at).Fd()), Program: p, Attach: hook}))
}

// The print of a group differs after each change of it, and no other print does.
func TestRootSurvey(t *testing.T) {
	s := newSurveyHost(t)
	survey := egress.NewSurvey(s.h, s.root)
	defer survey.Close()
	before := s.prints(survey)
	group := s.groups[1]
	members, ambassador := path.Join(group, "members"), path.Join(group, "ambassador")
	above := s.passes(ebpf.AttachCGroupInetEgress, 1)
	type change struct {
		name string
		do   func()
		none bool
	}
	changes := []change{
		{name: "nothing", do: func() {}, none: true},
		{name: "the same fence again", do: func() { s.must(egress.Fence(s.h, members, netns.PortsOf(443))) }, none: true},
		{name: "a leaf of a container", do: func() { s.make(path.Join(members, "web/leaf/init")) }, none: true},
		{name: "other ports", do: func() { s.must(egress.Fence(s.h, members, netns.PortsOf(444))) }},
		{name: "a container's cgroup made", do: func() { s.make(path.Join(members, "api")) }},
		{name: "a container's cgroup removed", do: func() { s.must(s.h.Remove(path.Join(members, "api"))) }},
		{name: "a program in effect from above", do: func() { s.attach(group, above, ebpf.AttachCGroupInetEgress, unix.BPF_F_ALLOW_MULTI) }},
		{name: "that taken away", do: func() { s.detach(group, above, ebpf.AttachCGroupInetEgress) }},
		{name: "a side made anew", do: func() { s.must(s.h.Remove(ambassador)); s.make(path.Join(ambassador, "proxy/leaf")) }},
		{name: "ping sockets refused", do: func() { s.must(egress.RefusePingSockets(s.h, members)) }},
		{name: "the same again", do: func() { s.must(egress.RefusePingSockets(s.h, members)) }, none: true},
		{name: "ping sockets left", do: func() { s.must(egress.LeavePingSockets(s.h, members)) }},
		{name: "the fence removed", do: func() { s.must(egress.Unfence(s.h, members)) }},
		{name: "the fence put back", do: func() { s.must(egress.Fence(s.h, members, netns.PortsOf(443))) }},
	}
	for _, hook := range []ebpf.AttachType{ebpf.AttachCGroupInetIngress, ebpf.AttachCGroupInetEgress, ebpf.AttachCGroupInet4Bind, ebpf.AttachCGroupInet6Bind, ebpf.AttachCGroupInetSockCreate} {
		theirs := s.passes(hook, 2)
		changes = append(changes,
			change{name: fmt.Sprint(hook, " replaced"), do: func() { s.attach(members, theirs, hook, 0) }},
			change{name: fmt.Sprint(hook, " taken away"), do: func() { s.detach(members, theirs, hook) }})
	}
	if s.apart {
		changes = append(changes,
			change{name: "members joined", do: func() { s.must(egress.Join(s.h, members)) }},
			change{name: "programs of another cgroup", do: func() { egress.AttachSeparation(t, s.h, ambassador, members) }},
			change{name: "members apart", do: func() { s.must(egress.Separate(s.h, members)) }})
	}
	for _, change := range changes {
		change.do()
		after := s.prints(survey)
		for _, g := range s.groups {
			if _, ok := after[g]; !ok {
				t.Errorf("%s: %s has no print", change.name, g)
			}
			if got, want := after[g] != before[g], g == group && !change.none; got != want {
				t.Errorf("%s: the print of %s differs: %v, want %v", change.name, g, got, want)
			}
		}
		before = after
	}
}

// A group that the walk does not see has no print. It has one as soon as it is seen.
func TestRootSurveyOfWhatIsNotSeen(t *testing.T) {
	s := newSurveyHost(t)
	survey := egress.NewSurvey(s.h, s.root)
	defer survey.Close()
	have := func(when string, want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(s.prints(survey))); !slices.Equal(got, want) {
			t.Errorf("%s: prints of %v, want %v", when, got, want)
		}
	}
	have("at first", s.groups...)
	s.must(s.h.Remove(s.groups[0]))
	have("a group gone", s.groups[1:]...)
	s.makeGroups()
	have("a group made anew", s.groups...)
	s.must(s.h.Remove(s.root))
	have("the root gone")
	s.makeGroups()
	have("the root made anew, seen by the walk of the old one")
	have("the root made anew", s.groups...)

	// Too many programs for the walk. The filter of the fence allows none beside it.
	members := path.Join(s.groups[1], "members")
	s.must(egress.Unfence(s.h, members))
	const looked = 16
	for n := range looked + 1 {
		s.attach(members, s.passes(ebpf.AttachCGroupInetEgress, n), ebpf.AttachCGroupInetEgress, unix.BPF_F_ALLOW_MULTI)
		if n == looked-1 {
			have("as many programs as are looked at", s.groups...)
		}
	}
	have("one program more", s.groups[0], s.groups[2])

	full := egress.NewSurvey(s.h, s.root)
	full.Shorten(1)
	defer full.Close()
	have = func(when string, want ...string) {
		t.Helper()
		if got := slices.Sorted(maps.Keys(s.prints(full))); !slices.Equal(got, want) {
			t.Errorf("%s: prints of %v, want %v", when, got, want)
		}
	}
	for range 3 {
		have("no room for the second", s.groups[0])
	}
}

// A kernel without types has no file for them (BTF). This does not count as a root that is absent.
func TestSurveyWithoutTypes(t *testing.T) {
	egress.FailSurveyProgram(t, fmt.Errorf("read the kernel's types: %w", os.ErrNotExist))
	survey := egress.NewSurvey(cgroup.Hierarchies{V2: t.TempDir()}, "root")
	for range 2 {
		if got, err := survey.Prints([]string{"root/shop"}); err == nil {
			t.Errorf("prints %v without an error", got)
		}
	}
}

// The verifier looks through the names of all types of the kernel for each pointer that the program
// reads through a trusted one. A kernel before 6.2 trusts none.
func TestRootSurveyIsVerifiedFast(t *testing.T) {
	netnstest.Root(t)
	log, err := egress.VerifySurvey()
	if err != nil {
		if os.Getenv("CI") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	// "40: (79) r1 = *(u64 *)(r8 +256)  ; R1_w=ptr_kernfs_node() R8=trusted_ptr_cgroup()"
	read := regexp.MustCompile(`r[0-9] = \*\(u64 \*\)\(r[0-9].* R[0-9](_[rw]+)?=(rcu_|trusted_|untrusted_)*ptr_`)
	trusted := regexp.MustCompile(`[=_]trusted_ptr_cgroup`)
	all, slow := 0, 0
	for line := range strings.Lines(log) {
		if read.MatchString(line) {
			all++
			if trusted.MatchString(line) {
				slow++
			}
		}
	}
	if all == 0 {
		t.Errorf("no read of a pointer in:\n%s", log)
	}
	if slow > 0 {
		t.Errorf("%d of %d reads of pointers go through a pointer that the verifier trusts", slow, all)
	}
}

// BenchmarkRootSurvey measures one look at all groups, and for comparison at one after the other.
func BenchmarkRootSurvey(b *testing.B) {
	netnstest.Root(b)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		b.Fatal(err)
	}
	root := netnstest.CgroupRoot()
	b.Cleanup(func() {
		if err := h.Remove(root); err != nil {
			b.Error(err)
		}
	})
	var groups []string
	for _, n := range []int{20, 200, 1000} {
		for i := len(groups); i < n; i++ {
			groups = append(groups, path.Join(root, fmt.Sprint("g", i)))
			for _, below := range []string{"ambassador/proxy/leaf", "members/web/leaf"} {
				if _, err := h.Make(path.Join(groups[i], below)); err != nil {
					b.Fatal(err)
				}
			}
			if err := egress.Fence(h, path.Join(groups[i], "members"), netns.PortsOf(443)); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint("at once/", n), func(b *testing.B) {
			survey := egress.NewSurvey(h, root)
			defer survey.Close()
			for b.Loop() {
				if got, err := survey.Prints(groups); err != nil || len(got) != n {
					b.Fatalf("%d prints, %v", len(got), err)
				}
			}
		})
		b.Run(fmt.Sprint("one by one/", n), func(b *testing.B) {
			for b.Loop() {
				for _, g := range groups {
					if _, err := egress.FencePrint(h, path.Join(g, "members")); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
