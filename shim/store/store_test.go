package store_test

import (
	b64 "encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/restart"
	"github.com/sallyport/sallyport/shim/store"
)

func newStore(t *testing.T) (*store.Store, layout.Layout) {
	dir := t.TempDir()
	l := layout.Layout{GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run")}
	return store.New(l), l
}

// applied returns bundles as an operator applies them. files are names and texts in turn.
func applied(files ...string) []group.Bundle {
	var out []group.Bundle
	for i := 0; i < len(files); i += 2 {
		out = append(out, group.Bundle{Name: files[i], Path: "/home/op/" + files[i], HCL: []byte(files[i+1])})
	}
	return out
}

// loaded returns the result of a load, in words: "shop 1 shop.hcl", "- job" for a group that is
// gone, "! path" for a problem.
func loaded(s *store.Store) []string { return inWords(s.Load()) }

func inWords(l store.Loaded) []string {
	out := []string{}
	for _, w := range l.Wanted {
		line := fmt.Sprintf("%s %d %s", w.Group.Name, w.Generation, w.File)
		if w.Broken != nil {
			line += " (kept)"
		}
		out = append(out, line)
	}
	for _, w := range l.Gone {
		out = append(out, "- "+w.Group.Name)
	}
	for _, p := range l.Problems {
		out = append(out, "! "+filepath.Base(p.Path))
	}
	return out
}

func TestStoreLoad(t *testing.T) {
	const rival = "\ngroup \"job\" {\n  egress = \"none\"\n  app \"other\" { image = \"registry.example/other:1\" }\n}\n"
	type files map[string]string // texts by name. An empty text removes the file
	for _, tt := range []struct {
		name  string
		first files
		then  files
		want  []string
	}{
		{"nothing", nil, nil, []string{}},
		{"two files", files{"b.hcl": hosttest.Shop, "a.hcl": hosttest.Job}, nil, []string{"job 1 a.hcl", "shop 1 b.hcl"}},
		{"nothing changed", files{"a.hcl": hosttest.Job}, files{"a.hcl": hosttest.Job + "# a remark\n"}, []string{"job 1 a.hcl"}},
		{"another definition", files{"a.hcl": hosttest.Job}, files{"a.hcl": hosttest.Edited(hosttest.Job, "once:1", "once:2")}, []string{"job 2 a.hcl"}},
		{"renamed", files{"a.hcl": hosttest.Job}, files{"a.hcl": "", "b.hcl": hosttest.Job}, []string{"job 1 b.hcl"}},
		{"taken away", files{"a.hcl": hosttest.Job, "b.hcl": hosttest.Shop}, files{"a.hcl": ""}, []string{"shop 1 b.hcl", "- job"}},
		{"block taken away", files{"a.hcl": hosttest.Job + hosttest.Shop}, files{"a.hcl": hosttest.Job}, []string{"job 1 a.hcl", "- shop"}},
		{"broken", files{"a.hcl": hosttest.Job + hosttest.Shop}, files{"a.hcl": "group {"}, []string{"job 1 a.hcl (kept)", "shop 1 a.hcl (kept)", "! a.hcl"}},
		{"broken in one block", files{"a.hcl": hosttest.Job + hosttest.Shop}, files{"a.hcl": hosttest.Edited(hosttest.Job, "once:1", "once:2") + "group {"}, []string{"job 1 a.hcl (kept)", "shop 1 a.hcl (kept)", "! a.hcl"}},
		{"broken from the first", files{"a.hcl": "group {"}, nil, []string{"! a.hcl"}},
		{"broken beside a good one", files{"a.hcl": "group {", "b.hcl": hosttest.Job}, nil, []string{"job 1 b.hcl", "! a.hcl"}},
		{"renamed and broken", files{"a.hcl": hosttest.Job}, files{"a.hcl": "", "b.hcl": "group {"}, []string{"job 1 a.hcl (kept)", "! b.hcl"}},
		{"broken, and another taken away", files{"a.hcl": hosttest.Job, "b.hcl": hosttest.Shop}, files{"a.hcl": "group {", "b.hcl": ""}, []string{"job 1 a.hcl (kept)", "- shop", "! a.hcl"}},
		{"two of a name, at once", files{"a.hcl": hosttest.Job, "b.hcl": rival}, nil, []string{"job 1 a.hcl", "! b.hcl"}},
		{"two of a name, one was first", files{"b.hcl": hosttest.Job}, files{"a.hcl": rival}, []string{"job 1 b.hcl", "! a.hcl"}},
		{"two of a name, one is broken", files{"b.hcl": hosttest.Job}, files{"a.hcl": rival, "b.hcl": "group {"}, []string{"job 1 b.hcl (kept)", "! a.hcl", "! b.hcl"}},
		{"what editors leave", files{"a.hcl": hosttest.Job, ".a.hcl.swp": "x", "a.hcl~": "x", "#a.hcl#": "x", ".#a.hcl": "x", "README": "x"}, nil, []string{"job 1 a.hcl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, l := newStore(t)
			s.Load()
			for _, step := range []files{tt.first, tt.then} {
				for name, text := range step {
					path := filepath.Join(l.GroupsDir, name)
					err := os.WriteFile(path, []byte(text), 0o600)
					if text == "" {
						err = os.Remove(path)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				if step != nil {
					s.Load()
				}
			}
			if diff := cmp.Diff(tt.want, loaded(s)); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.want, loaded(store.New(l))); diff != "" {
				t.Errorf("loaded by the next daemon (-want +got):\n%s", diff)
			}
		})
	}
}

// A later load keeps the temporary file of a runner. Only the first removes those of an earlier
// daemon.
func TestStoreLoadKeepsFilesBeingWritten(t *testing.T) {
	s, l := newStore(t)
	before, under := filepath.Join(l.StateDir, "lives", ".job.json1"), filepath.Join(l.StateDir, "lives", ".job.json2")
	if err := os.MkdirAll(filepath.Dir(before), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{before, under} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		s.Load()
	}
	if _, err := os.Stat(before); !os.IsNotExist(err) {
		t.Errorf("the unfinished file of the earlier daemon is still there: %v", err)
	}
	if _, err := os.Stat(under); err != nil {
		t.Error(err)
	}
}

// Operators' files in the folder are never deleted. Ours have a prefix of their own.
func TestStoreLoadKeepsFilesOfOperators(t *testing.T) {
	_, l := newStore(t)
	if err := os.MkdirAll(l.GroupsDir, 0o755); err != nil {
		t.Fatal(err)
	}
	theirs := []string{".a.hcl2", ".a.hcl.2026", ".a.hcl.swp", ".sallyport-notes", ".hcl1", "a.hcl~"}
	for _, name := range append([]string{".sallyport-123"}, theirs...) {
		if err := os.WriteFile(filepath.Join(l.GroupsDir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store.New(l).Load()
	for _, name := range theirs {
		if _, err := os.Stat(filepath.Join(l.GroupsDir, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(l.GroupsDir, ".sallyport-123")); !os.IsNotExist(err) {
		t.Errorf("the control, our own temporary file, is still there: %v", err)
	}
}

func TestStoreLoadsWhileRunnersWrite(t *testing.T) {
	s, _ := newStore(t)
	s.Load()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				s.Load()
			}
		}
	}()
	for n := range 200 {
		restarts, ended := s.SetRestarts("shop", restart.Records{"web": {EndsInARow: n + 1}}), s.SetEnded("shop", &group.Ended{Generation: n, State: group.Completed, At: hosttest.Noon})
		if err := errors.Join(restarts, ended); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	<-stopped
}

func TestStoreReadsAFileAsItWasApplied(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	text := `
variable "tag" { type = string }
group "job" {
  egress = "none"
  app "once" {
    image = "registry.example/once:${var.tag}"
    file "/etc/motd" { source = "motd" }
  }
}`
	b := group.Bundle{
		Name: "job.hcl", Path: "/home/op/job.hcl", HCL: []byte(text), Vars: map[string]string{"tag": "7"},
		Files: map[string][]byte{"/home/op/motd": []byte("hello")},
	}
	undo, err := s.Install([]group.Bundle{b}, group.Origin{By: group.ByApply})
	if err != nil {
		t.Fatal(err)
	}
	got := store.New(l).Load()
	if len(got.Wanted) != 1 || !got.Complete() {
		t.Fatalf("loaded %+v", got)
	}
	c := got.Wanted[0].Group.Containers[0]
	if c.Image != "registry.example/once:7" || string(c.Files[0].Content) != "hello" {
		t.Errorf("container %+v", c)
	}
	if err := undo["job.hcl"]("it did not work"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"- job"}, loaded(s)); diff != "" {
		t.Errorf("undone (-want +got):\n%s", diff)
	}
	if err := s.Forget("job"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{}, loaded(s)); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}

func TestStoreUndoPutsBackAFileOfTheOperators(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	path := filepath.Join(l.GroupsDir, "job.hcl")
	if err := os.WriteFile(path, []byte(hosttest.Job), 0o600); err != nil {
		t.Fatal(err)
	}
	undo, err := s.Install(applied("job.hcl", hosttest.Shop), group.Origin{By: group.ByApply})
	if err != nil {
		t.Fatal(err)
	}
	if err := undo["job.hcl"]("it did not work"); err != nil {
		t.Fatal(err)
	}
	b, err := store.Bundle(s, "job.hcl")
	if err != nil || b.Path != "" || string(b.HCL) != hosttest.Job {
		t.Errorf("bundle %+v, error %v", b, err)
	}
}

func TestStoreFinishesAnInstallationCutShort(t *testing.T) {
	s, l := newStore(t)
	s.Load()
	if _, err := s.Install(applied("a.hcl", hosttest.Job), group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	// The machine lost power after the intent was written: there is neither file, only the intent.
	for _, path := range []string{filepath.Join(l.GroupsDir, "a.hcl"), filepath.Join(l.StateDir, "applied", "a.hcl.json")} {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	intent := `{"put":[{"name":"a.hcl","path":"/home/op/a.hcl","hcl":"` + base64(hosttest.Job) + `"},{"name":"b.hcl","path":"/x/b.hcl","hcl":"` + base64(hosttest.Shop) + `"}]}`
	if err := os.WriteFile(filepath.Join(l.StateDir, "install.json"), []byte(intent), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"job 1 a.hcl", "shop 1 b.hcl"}, loaded(s)); diff != "" {
		t.Errorf("loaded (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(l.StateDir, "install.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the intent is still there: %v", err)
	}
}

func TestStoreKeepsGroupsItCantRead(t *testing.T) {
	s, l := newStore(t)
	if _, err := s.Install(applied("a.hcl", hosttest.Job, "b.hcl", hosttest.Shop), group.Origin{By: group.ByApply}); err != nil {
		t.Fatal(err)
	}
	s.Load()
	if err := os.WriteFile(filepath.Join(l.StateDir, "wanted", "shop.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := s.Load()
	if len(got.Wanted) != 2 || got.Wanted[1].Generation != 1 || got.Wanted[1].File != "b.hcl" || len(got.New) > 0 || len(got.Problems) > 0 || len(got.Mended) == 0 {
		t.Errorf("loaded %+v", got)
	}
	if again := s.Load(); len(again.Problems)+len(again.Mended) != 0 {
		t.Errorf("after the file was written again: problems %v, mended %v", again.Problems, again.Mended)
	}
}

func TestStoreNames(t *testing.T) {
	s, _ := newStore(t)
	for _, name := range []string{"", "a", "a.hcl~", ".a.hcl", "#a.hcl", "../a.hcl", "b/a.hcl", "/a.hcl", ".hcl"} {
		if _, err := s.Read(t.Context(), group.Bundle{Name: name, HCL: []byte(hosttest.Job)}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
}

func TestFileErrorShowsEverything(t *testing.T) {
	s, _ := newStore(t)
	_, err := s.Read(t.Context(), applied("a.hcl", hosttest.Edited(hosttest.Shop, "publish", "publsh", "mount", "mont"))[0])
	var fe *store.FileError
	if !errors.As(err, &fe) {
		t.Fatalf("error %v", err)
	}
	if text := fe.Error(); !strings.HasPrefix(text, "/home/op/a.hcl:5:5: Unknown block: There is no block ") || !strings.Contains(text, "more)") || strings.Contains(text, "\n") {
		t.Errorf("in short: %s", text)
	}
	var b strings.Builder
	if err := fe.Write(&b, false); err != nil || !strings.Contains(b.String(), `publsh "http" {`) {
		t.Errorf("at length (error %v): %s", err, b.String())
	}
}

func base64(text string) string { return b64.StdEncoding.EncodeToString([]byte(text)) }
