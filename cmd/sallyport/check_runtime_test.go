package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
)

// What the programs print as their version.
const (
	runcOutput = "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1\nspec: 1.0.2-dev\ngo: go1.19.8\nlibseccomp: 2.5.4\n"
	crunOutput = "crun version 1.8.1\ncommit: f8a096be060b22ccd3d5f3ebe44108517fbf6c30\nrundir: /run/crun\nspec: 1.0.0\n+SYSTEMD +SELINUX +APPARMOR +CAP +SECCOMP +EBPF +YAJL\n"
)

func TestReadRuntimeVersion(t *testing.T) {
	for _, c := range []struct {
		name, out string
		want      runtimeProgram
		release   release
	}{
		{"Debian's runc", runcOutput, runtimeProgram{name: runc, version: "1.1.5+ds1", seccomp: true}, release{1, 1, 5, final}},
		{"runc without seccomp", "runc version 1.2.0\nspec: 1.2.0\n", runtimeProgram{name: runc, version: "1.2.0"}, release{1, 2, 0, final}},
		{"Debian's crun", crunOutput, runtimeProgram{name: crun, version: "1.8.1", seccomp: true}, release{1, 8, 1, final}},
		{"crun with two numbers", "crun version 1.28\n+SECCOMP", runtimeProgram{name: crun, version: "1.28", seccomp: true}, release{1, 28, 0, final}},
		{"crun of a commit", "crun version 1.14-dirty\n-SECCOMP", runtimeProgram{name: crun, version: "1.14-dirty"}, release{1, 14, 0, final}},
		{"another program", "hello\n", runtimeProgram{}, release{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := readRuntimeVersion(c.out)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(runtimeProgram{})); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if r, _ := got.release(); r != c.release {
				t.Errorf("release %v, want %v", r, c.release)
			}
		})
	}
}

func TestRuntimeIsRefused(t *testing.T) {
	pure := runtimeHost{v2: []string{"/sys/fs/cgroup"}, lockable: true}
	hybrid := runtimeHost{v1: []string{"/sys/fs/cgroup/memory"}, v2: []string{"/sys/fs/cgroup/unified"}, lockable: true}
	locked := runtimeHost{v2: []string{"/sys/fs/cgroup"}}
	crunOf := func(version string) runtimeProgram {
		return runtimeProgram{name: crun, version: version, seccomp: true}
	}
	for _, c := range []struct {
		name       string
		program    runtimeProgram
		host       runtimeHost
		want, hint string
	}{
		{"crun", crunOf("1.8.1"), pure, "", ""},
		{"a new crun", crunOf("1.28"), pure, "", ""},
		{"an old crun", crunOf("1.8"), pure, "crun 1.8 is too old", "install crun 1.8.1 or later, or set containerd.runtime to runc"},
		{"no version", crunOf("UNKNOWN"), pure, `can't read the version of crun, "UNKNOWN"`, "install crun 1.8.1 or later, or set containerd.runtime to runc"},
		{"no seccomp", runtimeProgram{name: crun, version: "1.8.1"}, pure, "crun 1.8.1 can't apply seccomp filters", "install a crun that is built with libseccomp, for example your distribution's"},
		{"runc without seccomp", runtimeProgram{name: runc, version: "1.2.0"}, pure, "runc 1.2.0 can't apply seccomp filters", "install a runc that is built with libseccomp, for example your distribution's"},
		{"another program", runtimeProgram{path: "/usr/bin/youki"}, pure, "/usr/bin/youki is neither runc nor crun, and the promise was tested with no other runtime",
			"set containerd.runtime to runc or crun, or to the path of one"},
		{"runc beside v1", runtimeProgram{name: runc, version: "1.1.5", seccomp: true}, hybrid, "", ""},
		{"crun beside v1", crunOf("1.8.1"), hybrid, "crun 1.8.1 can't run containers here: this host has cgroup v1 (/sys/fs/cgroup/memory) beside v2, and crun needs v2 alone",
			"set containerd.runtime to runc, or boot with systemd.unified_cgroup_hierarchy=1"},
		{"v2 elsewhere", crunOf("1.8.1"), runtimeHost{v2: []string{"/mnt"}, lockable: true}, "crun 1.8.1 can't run containers here: cgroup v2 is not mounted at /sys/fs/cgroup",
			"set containerd.runtime to runc, or mount cgroup v2 there"},
		{"a limit on locked memory", crunOf("1.8.1"), locked,
			"crun 1.8.1 can't run containers here: it raises the limit on locked memory (RLIMIT_MEMLOCK), which needs CAP_SYS_RESOURCE",
			"set containerd.runtime to runc, install crun 1.14 or later, or set LimitMEMLOCK=infinity"},
		{"a limit that a newer one leaves alone", crunOf("1.14"), locked, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, hint := "", ""
			if err := c.program.usable(c.host); err != nil {
				got, hint = err.Error(), hintOf(err)
			}
			if diff := cmp.Diff([]string{c.want, c.hint}, []string{got, hint}); diff != "" {
				t.Errorf("reason and hint (-want +got)\n%s", diff)
			}
		})
	}
}

// A runtime is found by its name on PATH or by its path, and must be what it is called.
func TestCheckRuntime(t *testing.T) {
	dir := t.TempDir()
	program := func(name, output string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n/bin/cat <<'END'\n"+output+"END\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program(runc, runcOutput)
	newer := program("runc-1.4", strings.ReplaceAll(runcOutput, "1.1.5+ds1", "1.4.0"))
	other := program("youki", "youki version 0.5.7\n")
	program(crun, runcOutput) // not what it is called
	folder, text := t.TempDir(), filepath.Join(t.TempDir(), "runc.txt")
	if err := os.WriteFile(text, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, c := range []struct{ choice, want, found, path string }{
		{"", "", "1.1.5+ds1 " + dir + "/runc", ""},
		{runc, "", "1.1.5+ds1 " + dir + "/runc", ""},
		{newer, "", "1.4.0 " + newer, newer},
		{other, other + " is neither runc nor crun", "", other},
		{crun, dir + "/crun is not crun but runc", "", dir + "/crun"},
		{"/nowhere/crun", "there is no program /nowhere/crun", "", ""},
		{folder, folder + " can't be run: is a directory", "", ""},
		{text, text + " can't be run: permission denied", "", ""},
		{"kata", "kata is neither runc nor crun", "", ""},
	} {
		t.Run(c.choice, func(t *testing.T) {
			found, err := checkRuntime(context.Background(), c.choice)
			if found != c.found || (err == nil) != (c.want == "") || err != nil && (!strings.HasPrefix(err.Error(), c.want) || hintOf(err) == "") {
				t.Errorf("found %q, %v; want %q, %q and a hint", found, err, c.found, c.want)
			}
			if path, _ := (runtimeFlags{Runtime: c.choice}).runtimePath(); path != c.path {
				t.Errorf("the shim is given %q, want %q", path, c.path)
			}
		})
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := checkRuntime(context.Background(), crun); err == nil || err.Error() != "crun is not on PATH" || hintOf(err) != "apt-get install crun containerd" {
		t.Errorf("without crun: %v", err)
	}
}

func TestRuntimeIsADoctorsLine(t *testing.T) {
	for choice, want := range map[string]string{"": "runc", runc: "runc", crun: "crun", "/usr/local/bin/crun": "crun", "/opt/crun-1.28": "runtime"} {
		var names []string
		for _, c := range hostChecks(layout.Layout{}, runtimeFlags{Runtime: choice}, nil) {
			names = append(names, c.name)
		}
		if !slices.Contains(names, want) || !slices.Contains(names, want+" escapes") {
			t.Errorf("%q: %v, want %s", choice, names, want)
		}
	}
}

func TestEscapesOfCrun(t *testing.T) {
	for version, want := range map[string]string{"1.8.1": "CVE-2026-47766", "1.27.1": "CVE-2026-47766", "1.28": "", "1.29.1": ""} {
		p := runtimeProgram{name: crun, version: version}
		r, ok := p.release()
		if got := strings.Join(openEscapes(crun, r), " "); !ok || got != want {
			t.Errorf("%s: %v, %v; has %q, want %q", version, r, ok, got, want)
		}
	}
}
