package ctrd

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"

	"github.com/sallyport/sallyport/netns/cgroup"
	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// binaryOf returns the runtime that containerd keeps with a container; empty is containerd's own.
func binaryOf(t *testing.T, info containers.RuntimeInfo) string {
	t.Helper()
	if info.Name != runtimeName {
		t.Errorf("the shim is %q", info.Name)
	}
	if info.Options == nil || info.Options.GetTypeUrl() == "" { // a server's answer has one without a type
		return ""
	}
	v, err := typeurl.UnmarshalAny(info.Options)
	if err != nil {
		t.Fatal(err)
	}
	return v.(*options.Options).BinaryName
}

func TestRuntimeOptions(t *testing.T) {
	for _, want := range []string{"", "/usr/bin/crun"} {
		c := &Client{cfg: Config{Runtime: want}}
		info, err := c.runtime()
		if err != nil {
			t.Fatal(err)
		}
		if got := binaryOf(t, info); got != want || want == "" && info.Options != nil {
			t.Errorf("containerd is asked for %q with %v, want %q", got, info.Options, want)
		}
	}
}

// What a task was made with is found by the files of each runtime, and removed by the runtime that
// made it, also when new containers get another.
func TestRuntimeOf(t *testing.T) {
	for _, tt := range []struct {
		name         string
		file, text   string // in the runtime's folder; %s is the bundle
		bundle       string // what the shim wrote into the bundle; "-" is no bundle
		chosen, want string
	}{
		{"runc", "state.json", `{"config": {"labels": ["x=y", "bundle=%s"]}}`, "", "", "runc"},
		{"runc, before crun was chosen", "state.json", `{"config": {"labels": ["bundle=%s"]}}`, "", "/usr/bin/crun", "runc"},
		{"crun", "status", `{"pid": 1, "bundle": "%s"}`, "/usr/bin/crun", "/usr/bin/crun", "/usr/bin/crun"},
		{"crun, and runc was chosen since", "status", `{"pid": 1, "bundle": "%s"}`, "/usr/bin/crun", "", "/usr/bin/crun"},
		{"crun, another one was chosen since", "status", `{"pid": 1, "bundle": "%s"}`, "/usr/bin/crun", "/opt/crun-1.28", "/usr/bin/crun"},
		{"crun without a bundle", "status", `{"pid": 1, "bundle": "%s"}`, "-", "/opt/crun-1.28", "/opt/crun-1.28"},
		{"crun without a bundle, and runc was chosen since", "status", `{"pid": 1, "bundle": "%s"}`, "-", "", "crun"},
		{"another containerd's runc", "state.json", `{"config": {"labels": ["bundle=/elsewhere"]}}`, "", "", ""},
		{"another containerd's crun", "status", `{"bundle": "/elsewhere"}`, "/usr/bin/crun", "/usr/bin/crun", ""},
		{"half written", "status", `{"bundle": "%s"`, "/usr/bin/crun", "/usr/bin/crun", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder, bundle := t.TempDir(), t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, tt.file), []byte(strings.ReplaceAll(tt.text, "%s", bundle)), 0o600); err != nil {
				t.Fatal(err)
			}
			if tt.bundle != "-" {
				if err := os.WriteFile(filepath.Join(bundle, "runtime"), []byte(tt.bundle), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := &Client{cfg: Config{Runtime: tt.chosen}}
			if got := c.runtimeOf(folder, bundle); got != tt.want {
				t.Errorf("made by %q, want %q", got, tt.want)
			}
		})
	}
}

// A chosen runtime whose file has another name is known by what it prints as its version, also when
// the bundle is gone.
func TestRuntimeOfAnotherName(t *testing.T) {
	folder, gone := t.TempDir(), filepath.Join(t.TempDir(), "gone")
	if err := os.WriteFile(filepath.Join(folder, "status"), []byte(`{"bundle": "`+gone+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for output, own := range map[string]bool{"crun version 1.28\n+SECCOMP\n": true, "runc version 1.4.0\n": false, "": false} {
		program := filepath.Join(t.TempDir(), "rt")
		if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf '"+output+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		want := "crun"
		if own {
			want = program
		}
		c := &Client{cfg: Config{Runtime: program}}
		if got := c.runtimeOf(folder, gone); got != want {
			t.Errorf("one that prints %q: made by %q, want %q", output, got, want)
		}
	}
}

func TestRemoveInRuntimeAsksItsMaker(t *testing.T) {
	dir := t.TempDir()
	crun := filepath.Join(dir, "crun")
	if err := os.WriteFile(crun, []byte("#!/bin/sh\necho \"$@\" > "+dir+"/calls\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Client{}
	if err := c.removeInRuntime(t.Context(), &leftover{runtime: "/run/containerd/runc/ns/g.web", program: crun}); err != nil {
		t.Fatal(err)
	}
	calls, _ := os.ReadFile(dir + "/calls")
	if got, want := string(calls), "--root /run/containerd/runc/ns/ delete --force g.web\n"; got != want {
		t.Errorf("it was asked for %q, want %q", got, want)
	}
}

// The runtime is a choice for new containers. One that runs keeps its own, although the next daemon
// has another choice. One shim serves both.
func TestRootRuntimeIsKept(t *testing.T) {
	archive := busyboxArchive(t)
	eachServer(t, func(t *testing.T, plain *Client) {
		dir := filepath.Dir(plain.cfg.Layout.RunDir) // it is removed after the containers
		program, log := filepath.Join(dir, "wrapped"), filepath.Join(dir, "calls")
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$@\" >> "+log+"\nexec runc \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		asked := func(verb, id string) bool { // of the chosen runtime
			calls, _ := os.ReadFile(log)
			for line := range strings.Lines(string(calls)) {
				if strings.Contains(line, " "+verb+" ") && strings.Contains(line, id) {
					return true
				}
			}
			return false
		}
		cfg := plain.cfg
		cfg.Runtime = program
		chosen, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer chosen.Close()
		r := newHarness(t, chosen, archive, script("web", spec.App, "sleep 1000"), script("ship", spec.Sidecar, "sleep 1000"))
		if err := chosen.Create(t.Context(), r.request("web")); err != nil {
			t.Fatal(err)
		}
		r.start("web")
		if !asked("create", "g.web") || !asked("start", "g.web") {
			t.Error("web was not made by the chosen runtime")
		}
		pid := r.state("web").PID
		r.c = plain
		if err := plain.Create(t.Context(), r.request("ship")); err != nil {
			t.Fatal(err)
		}
		r.start("ship")
		if asked("create", "g.ship") {
			t.Error("ship was made by the runtime of before")
		}
		for id, want := range map[string]string{"g.web": program, "g.ship": ""} {
			record, err := plain.client.ContainerService().Get(r.ctx(), id)
			if err != nil {
				t.Fatal(err)
			}
			if got := binaryOf(t, record.Runtime); got != want {
				t.Errorf("%s has the runtime %q, want %q", id, got, want)
			}
		}
		if now := r.state("web").PID; now != pid {
			t.Errorf("web was restarted: process %d, then %d", pid, now)
		}
		if r.parent(pid) != r.parent(r.state("ship").PID) {
			t.Error("the two have different shims")
		}
		if output, status := r.exec("web", "echo there"); output != "there\n" || status != 0 || !asked("exec", "g.web") {
			t.Errorf("exec: %q, status %d; by its own runtime: %v", output, status, asked("exec", "g.web"))
		}
		if left := plain.leftover("g.web"); left == nil || left.program != program {
			t.Errorf("%+v, want it made by %s", left, program)
		}
		if left := plain.leftover("g.ship"); left == nil || left.program != "runc" {
			t.Errorf("%+v, want it made by runc", left)
		}
		r.removeAll()
		if !asked("delete", "g.web") {
			t.Error("web was not deleted by its own runtime")
		}
		r.nothing()
	})
}

// crun runs a container, or the error names the reason of this host and the way out.
func TestRootCrun(t *testing.T) {
	ctrdtest.NeedRoot(t)
	program, err := exec.LookPath("crun")
	if err != nil {
		ctrdtest.Missing(t, "crun")
	}
	archive := busyboxArchive(t)
	h, err := cgroup.FindHierarchies()
	if err != nil {
		t.Fatal(err)
	}
	controllers, _ := os.ReadFile(filepath.Join(h.V2, "cgroup.controllers"))
	eachServer(t, func(t *testing.T, c *Client) {
		c.cfg.Runtime = program
		r := newHarness(t, c, archive, script("web", spec.App, "echo hello"))
		err := c.Create(t.Context(), r.request("web"))
		var p *hint.Error
		switch {
		case err == nil && len(h.V1) == 0:
			r.start("web")
			if output, _ := r.ended("web"); output != "hello\n" {
				t.Errorf("it printed %q", output)
			}
			r.removeAll()
		case len(h.V1) > 0 && len(controllers) > 0:
			if !errors.As(err, &p) || !strings.Contains(err.Error(), "hybrid mode") || !strings.Contains(p.Hint, "cgroup v2 alone") {
				t.Errorf("%v with hint %+v, want the reason: cgroup v1 beside v2", err, p)
			}
		case err != nil && (!errors.As(err, &p) || !strings.Contains(p.Hint, "containerd.runtime")):
			t.Errorf("%v with hint %+v, want the way out", err, p)
		}
		r.nothing()
	})
}
