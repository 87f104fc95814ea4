package store_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/store"
)

// A reading counts for the files that did not change after it began. The others are to be read
// again.
func TestAcceptOfAReadingThatIsOvertaken(t *testing.T) {
	job := func(tag string) string { return hosttest.Edited(hosttest.Job, "once:1", "once:"+tag) }
	for _, tt := range []struct {
		name      string
		meanwhile func(h *overtaken)
		want      []string // as loaded
		reread    []string
	}{
		{"nothing", func(h *overtaken) {}, []string{"job 2 a.hcl", "shop 1 b.hcl"}, nil},
		{"another reading", func(h *overtaken) { h.accept(h.read()) }, []string{"job 2 a.hcl", "shop 1 b.hcl"}, nil},
		{"an edit that a later reading has", func(h *overtaken) {
			h.write("a.hcl", job("3"))
			h.accept(h.read())
		}, []string{"job 2 a.hcl", "shop 1 b.hcl"}, []string{"a.hcl"}},
		{"an apply of the file", func(h *overtaken) { h.install("a.hcl", job("3")) }, []string{"job 2 a.hcl", "shop 1 b.hcl"}, []string{"a.hcl"}},
		{"an apply of the same text", func(h *overtaken) { h.install("b.hcl", hosttest.Shop) }, []string{"job 2 a.hcl", "shop 1 b.hcl"}, nil},
		{"an apply of another file", func(h *overtaken) { h.install("c.hcl", hosttest.Edited(hosttest.Job, "\"job\"", "\"third\"")) },
			[]string{"job 2 a.hcl", "shop 1 b.hcl", "third 1 c.hcl"}, []string{"c.hcl"}},
		{"a removal", func(h *overtaken) { h.must(h.store.Remove("shop", false)); h.accept(store.Reading{}) },
			[]string{"job 2 a.hcl", "- shop"}, []string{"b.hcl"}},
		{"an apply that is not accepted yet", func(h *overtaken) {
			_, err := h.store.Install(applied("a.hcl", job("3")), group.Origin{By: group.ByApply})
			h.must(err)
		}, []string{"job 1 a.hcl", "shop 1 b.hcl"}, []string{"a.hcl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, l := newStore(t)
			h := &overtaken{t: t, store: s, dir: l.GroupsDir}
			s.Load()
			h.install("a.hcl", hosttest.Job)
			h.install("b.hcl", hosttest.Shop)
			h.write("a.hcl", job("2"))
			r := h.read()
			tt.meanwhile(h)
			got := s.Accept(r)
			if diff := cmp.Diff(tt.want, inWords(got)); diff != "" {
				t.Errorf("accepted (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.reread, got.Reread); diff != "" {
				t.Errorf("to be read again (-want +got):\n%s", diff)
			}
			if last := s.Load(); len(last.Reread) > 0 || !last.Complete() {
				t.Errorf("it does not settle: %+v", last)
			}
			if diff := cmp.Diff(loaded(store.New(l)), inWords(s.Load())); diff != "" {
				t.Errorf("the next daemon (-it +this one):\n%s", diff)
			}
		})
	}
}

// An overtaken is a store in whose readings a change comes between.
type overtaken struct {
	t     *testing.T
	store *store.Store
	dir   string
}

func (h *overtaken) must(err error) {
	if err != nil {
		h.t.Helper()
		h.t.Fatal(err)
	}
}

func (h *overtaken) write(name, text string) {
	h.must(os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
}

func (h *overtaken) read() store.Reading {
	r, err := h.store.ReadFolder(context.Background())
	h.must(err)
	return r
}

func (h *overtaken) accept(r store.Reading, texts ...*store.Text) { h.store.Accept(r, texts...) }

func (h *overtaken) install(name, text string) {
	b := applied(name, text)
	parsed, err := h.store.Read(context.Background(), b[0])
	h.must(err)
	_, err = h.store.Install(b, group.Origin{By: group.ByApply})
	h.must(err)
	h.accept(store.Reading{}, parsed)
}

func TestCurrent(t *testing.T) {
	s, l := newStore(t)
	h := &overtaken{t: t, store: s, dir: l.GroupsDir}
	s.Load()
	h.install("a.hcl", hosttest.Job)
	for _, tt := range []struct {
		name string
		do   func()
		want bool
	}{
		{"nothing", func() {}, true},
		{"an apply of another file", func() { h.install("b.hcl", hosttest.Shop) }, true},
		{"an apply of the file", func() { h.install("a.hcl", hosttest.Job+"# again\n") }, false},
		{"its removal", func() { h.must(h.store.Remove("job", false)) }, false},
	} {
		r, err := s.ReadFiles(t.Context(), "a.hcl")
		h.must(err)
		if tt.do(); s.Current(r) != tt.want {
			t.Errorf("after %s the reading is current: %v", tt.name, !tt.want)
		}
	}
}
