package keeper_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/spec"
)

// A parseLog has the names of the files that were parsed, without the folder.
type parseLog struct {
	mu    sync.Mutex
	names []string
}

// logParses makes the next keepers log what they parse.
func (h *harness) logParses() *parseLog {
	l := &parseLog{}
	h.config = func(c *keeper.Config) {
		parse := c.Store.Parse
		c.Store.Parse = func(s spec.Source) ([]spec.Group, hcl.Diagnostics) {
			l.mu.Lock()
			l.names = append(l.names, filepath.Base(s.Name))
			l.mu.Unlock()
			return parse(s)
		}
	}
	return l
}

// take returns the names since the last call, sorted. More than five are their number.
func (l *parseLog) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := l.names
	l.names = nil
	if len(names) > 5 {
		return []string{fmt.Sprint(len(names))}
	}
	slices.Sort(names)
	return names
}

// many returns n files of one group each, as name, text, name, text.
func many(n int) (files []string) {
	for i := range n {
		name := fmt.Sprintf("g%03d", i)
		files = append(files, name+".hcl", fmt.Sprintf("group %q {\n  egress = \"none\"\n  app \"a\" {\n    image = \"registry.example/a:1\"\n  }\n}\n", name))
	}
	return files
}

// A file is parsed when it has changed, and once.
func TestKeeperParsesWhatHasChanged(t *testing.T) {
	const groups = 200
	withHarness(t, func(t *testing.T, h *harness) {
		log := h.logParses()
		h.end()
		h.begin()
		parsed := func(what string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, log.take()); diff != "" {
				t.Errorf("%s parses (-want +got):\n%s", what, diff)
			}
		}
		files := many(groups)
		next := func(i int) []string {
			files[2*i+1] = edited(files[2*i+1], "image = ", "command = [\"a\"]\n    image = ")
			return files[2*i : 2*i+2]
		}
		h.mustApply(files...)
		parsed("the first apply", fmt.Sprint(groups))
		h.notice()
		parsed("the watch after it")
		h.mustApply(next(3)...)
		h.notice()
		parsed("an apply of one", "g003.hcl")
		h.mustApply(files[6:8]...)
		h.notice()
		parsed("the same again")
		h.mustApply(slices.Concat(next(4), next(5))...)
		h.notice()
		parsed("an apply of two", "g004.hcl", "g005.hcl")
		if _, err := h.keeper.Preview(t.Context(), bundles(next(6)...)); err != nil {
			t.Fatal(err)
		}
		h.mustApply(files[12:14]...)
		h.notice()
		parsed("a preview and its apply", "g006.hcl")
		h.write("g007.hcl", next(7)[1])
		parsed("an edit by hand", "g007.hcl")
		h.write("g008.hcl", "group {")
		h.notice()
		h.mustApply(next(9)...)
		parsed("a broken file beside an apply", "g008.hcl", "g009.hcl")
		h.write("g008.hcl", files[17])
		parsed("the file as it was before, which is kept for a while")
		if err := h.keeper.Rollback(t.Context(), "g003", 1, nil); err != nil {
			t.Fatal(err)
		}
		h.notice()
		parsed("a rollback to a text that was parsed before")
		if err := h.keeper.Remove(t.Context(), "g010", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := h.stop("g011"); err != nil {
			t.Fatal(err)
		}
		if err := h.keeper.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		parsed("rm, stop and SIGHUP")
		h.end()
		h.begin()
		parsed("the next daemon", fmt.Sprint(groups-1))
	})
}

// A text that was parsed before is parsed again when a file that it names has changed, or can't be
// read any more.
func TestKeeperParsesAgainWhenANamedFileHasChanged(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		log := h.logParses()
		h.end()
		h.begin()
		data := filepath.Join(h.layout.GroupsDir, "data")
		put := func(text string) {
			if err := os.WriteFile(data, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			h.notice()
		}
		put("one")
		h.write("job.hcl", edited(job, "image", "file \"/data\" { source = \"data\" }\n    image"))
		h.notice()
		for _, step := range []struct {
			name string
			do   func()
			want []string
		}{
			{"another content", func() { put("two") }, []string{"job.hcl"}},
			{"none", func() { os.Remove(data); h.notice() }, []string{"job.hcl"}},
			{"one that was parsed before", func() { put("two") }, nil},
		} {
			log.take()
			step.do()
			h.notice()
			if diff := cmp.Diff(step.want, log.take()); diff != "" {
				t.Errorf("%s: parses (-want +got):\n%s", step.name, diff)
			}
		}
		if st := h.status("job"); st.Generation != 2 || st.Error != "" {
			t.Errorf("generation %d, error %q", st.Generation, st.Error)
		}
		if got := h.keeper.Problems(); len(got) > 0 {
			t.Errorf("problems %v", got)
		}
	})
}

// The same text means another group with other variables, and in another folder.
func TestKeeperParsesTheSameTextWithOtherVariables(t *testing.T) {
	withHarness(t, func(t *testing.T, h *harness) {
		for i, tag := range []string{"7", "8", "7"} {
			b := bundles("job.hcl", withVariable)
			b[0].Vars = map[string]string{"tag": tag}
			if err := h.keeper.Apply(t.Context(), b, nil); err != nil {
				t.Fatal(err)
			}
			if st := h.status("job"); st.Generation != i+1 || !strings.HasSuffix(st.Containers[0].Image, ":"+tag) {
				t.Errorf("tag %s: generation %d with image %s", tag, st.Generation, st.Containers[0].Image)
			}
		}
	})
}
