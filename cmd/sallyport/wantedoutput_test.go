package main

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/logs/wanted"
	"github.com/sallyport/sallyport/spec"
)

func TestWantOutput(t *testing.T) {
	l := layout.Layout{LogDir: t.TempDir()}
	g := &spec.Group{Name: "shop", Containers: []spec.Container{
		{Name: "proxy"}, {Name: "web", Output: spec.Output{Size: 1 << 20, Journal: true, Split: true}},
	}}
	if err := wantOutput(l)(g); err != nil {
		t.Fatal(err)
	}
	want := map[string]wanted.Output{"proxy": {}, "web": {Size: 1 << 20, Journal: true, Split: true}}
	if diff := cmp.Diff(want, wanted.Read(filepath.Join(l.LogDir, "shop"))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
