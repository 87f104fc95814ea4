package cgroup

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
)

func TestHierarchiesOfMounts(t *testing.T) {
	tests := []struct {
		name, mounts string
		want         Hierarchies
		err          error
	}{
		{name: "unified", mounts: "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
			want: Hierarchies{V2: "/sys/fs/cgroup", Above: "/", V2Mounts: []string{"/sys/fs/cgroup"}, Controllers: map[string]string{}}},
		{name: "hybrid", mounts: "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
			"35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n" +
			"36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n" +
			"41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
			want: Hierarchies{V2: "/sys/fs/cgroup/unified", Above: "/", V2Mounts: []string{"/sys/fs/cgroup/unified"},
				V1: []string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/cpu,cpuacct"},
				Controllers: map[string]string{"memory": "/sys/fs/cgroup/memory", "rw": "/sys/fs/cgroup/cpu,cpuacct",
					"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"}}},
		{name: "part of the hierarchy, at an odd place", mounts: `31 23 0:28 /docker/a\040b /mnt/c\134g rw - cgroup2 cgroup2 rw` + "\n",
			want: Hierarchies{V2: `/mnt/c\g`, Above: "/docker/a b", V2Mounts: []string{`/mnt/c\g`}, Controllers: map[string]string{}}},
		{name: "v1 alone", mounts: "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup memory\n", err: ErrNoCgroup2,
			want: Hierarchies{V1: []string{"/sys/fs/cgroup/memory"}, Controllers: map[string]string{"memory": "/sys/fs/cgroup/memory"}}},
		{name: "a part of a v1 hierarchy is mounted a second time", mounts: "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup memory\n" +
			"41 31 0:38 / /mnt/v2 rw - cgroup2 cgroup2 rw\n" +
			"42 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n" +
			"50 31 0:32 /g /mnt/part rw - cgroup cgroup memory\n",
			want: Hierarchies{V2: "/mnt/v2", Above: "/", V2Mounts: []string{"/mnt/v2", "/sys/fs/cgroup"}, V1: []string{"/sys/fs/cgroup/memory", "/mnt/part"},
				Controllers: map[string]string{"memory": "/sys/fs/cgroup/memory"}}},
		{name: "only a part of a v1 hierarchy is mounted", mounts: "50 31 0:32 /g /mnt/part rw - cgroup cgroup memory\n", err: ErrNoCgroup2,
			want: Hierarchies{V1: []string{"/mnt/part"}, Controllers: map[string]string{"memory": "/mnt/part"}}},
		{name: "nothing", err: ErrNoCgroup2, want: Hierarchies{Controllers: map[string]string{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mounts, err := mountinfo.GetMountsFromReader(strings.NewReader(tt.mounts), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := fromMounts(mounts)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("hierarchies (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	for path, want := range map[string]uint32{"/": 0, "": 0, "/sallyport/g/members": 3, "/a//b/": 2} {
		if got := depth(path); got != want {
			t.Errorf("depth(%q) = %d, want %d", path, got, want)
		}
	}
}

// fake makes two hierarchies of ordinary folders. There rmdir behaves as on empty cgroups.
func fake(t *testing.T, dirs ...string) Hierarchies {
	t.Helper()
	base := t.TempDir()
	h := Hierarchies{V2: filepath.Join(base, "v2"), Above: "/", V1: []string{filepath.Join(base, "memory")}}
	for _, d := range append(dirs, "v2", "memory") {
		if err := os.MkdirAll(filepath.Join(base, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func TestRemoveCgroups(t *testing.T) {
	h := fake(t, "v2/sallyport/g/members/web", "v2/sallyport/other/members", "memory/sallyport/g/members", "memory/elsewhere")
	for range 2 {
		if err := h.Remove("/sallyport/g"); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]bool{"v2/sallyport/g": false, "memory/sallyport/g": false, "v2/sallyport/other": true, "memory/elsewhere": true} {
		if _, err := os.Stat(filepath.Join(filepath.Dir(h.V2), path)); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", path, err == nil, want)
		}
	}
	h.RemoveIfEmpty("/sallyport")
	if children, err := h.Children("/"); err != nil || !cmp.Equal(children, []string{"sallyport"}) {
		t.Errorf("below the root: %v, %v; want sallyport, which is not empty", children, err)
	}
	memory := filepath.Join(filepath.Dir(h.V2), "memory/sallyport")
	if _, err := os.Stat(memory); err != nil {
		t.Error("a cgroup in use in v2 was removed from a v1 hierarchy")
	}
	if err := h.Remove("/sallyport/other"); err != nil {
		t.Fatal(err)
	}
	h.RemoveIfEmpty("/sallyport")
	if children, err := h.Children("/"); err != nil || len(children) > 0 {
		t.Errorf("below the root: %v, %v; want nothing", children, err)
	}
	if _, err := os.Stat(memory); err == nil {
		t.Error("a cgroup that is empty everywhere is left in one hierarchy")
	}
}

func TestInterruptedRemoveIsFoundAgain(t *testing.T) {
	h := fake(t, "v2/sallyport/g/members", "memory/sallyport/g/members")
	busy := filepath.Join(filepath.Dir(h.V2), "memory/sallyport/g/members/cgroup.procs")
	if err := os.WriteFile(busy, []byte("7\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Remove("/sallyport/g"); err == nil {
		t.Fatal("a cgroup with a process in it was removed")
	}
	if children, err := h.Children("/sallyport/g"); err != nil || !cmp.Equal(children, []string{"members"}) {
		t.Errorf("v2 has %v left, %v; want members, so that the rest is found", children, err)
	}
}

func TestRemoveNamesTheProcessesLeft(t *testing.T) {
	h := fake(t, "v2/sallyport/g/members")
	if err := os.WriteFile(filepath.Join(h.V2, "sallyport/g/members/cgroup.procs"), []byte("7\n8\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := h.Remove("/sallyport/g")
	want := `remove cgroup "/sallyport/g": processes are left in it: 7, 8`
	if err == nil || err.Error() != want {
		t.Errorf("Remove = %v, want %s", err, want)
	}
}

func TestRemoveRefusesTheRoot(t *testing.T) {
	h := fake(t, "v2/a")
	for _, path := range []string{"", "/", "//"} {
		if err := h.Remove(path); err == nil {
			t.Errorf("Remove(%q) removed everything", path)
		}
		h.RemoveIfEmpty(path)
	}
}

func TestPopulated(t *testing.T) {
	h := fake(t, "v2/g/members/web", "v2/g/members/old", "v2/g/odd")
	for path, events := range map[string]string{"g/members/web": "populated 1\nfrozen 0\n", "g/members/old": "populated 0\nfrozen 0\n"} {
		if err := os.WriteFile(filepath.Join(h.V2, path, "cgroup.events"), []byte(events), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(h.V2, "g/odd/cgroup.events"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{"/g/members/web": true, "/g/members/old": false, "/absent": false} {
		if got, err := h.Populated(path); err != nil || got != want {
			t.Errorf("%s is populated: %v, %v; want %v", path, got, err, want)
		}
	}
	if _, err := h.Populated("/g/odd"); err == nil {
		t.Error("a cgroup that can't be read has no processes")
	}
}

// The parent goes with the last group, while another group makes its own cgroup.
func TestMakeBesideRemoval(t *testing.T) {
	h := Hierarchies{V2: t.TempDir()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			h.RemoveIfEmpty("sallyport")
		}
	}()
	for {
		select {
		case <-done:
			return
		default:
		}
		if _, err := h.Make("sallyport/shop/members"); err != nil && strings.Contains(err.Error(), "make cgroup") {
			t.Fatal(err)
		}
		if err := h.Remove("sallyport/shop"); err != nil {
			t.Fatal(err)
		}
	}
}
