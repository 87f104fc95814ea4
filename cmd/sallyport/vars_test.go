package main

import (
	"testing"

	"github.com/sallyport/sallyport/shim/group"
)

// A bundle has where each of its values comes from.
func TestWhereValuesComeFrom(t *testing.T) {
	values := variableValues{
		flags:   map[string]string{"a": "flag"},
		files:   map[string]string{"a": "file", "b": "file", "e": "beside"},
		beside:  map[string]string{"e": "sallyport.vars.hcl"},
		environ: map[string]string{"a": "environment", "b": "environment", "c": "environment", "e": "environment"},
	}
	src := []byte("variable \"a\" {}\nvariable \"b\" {}\nvariable \"c\" {}\nvariable \"d\" { default = 1 }\nvariable \"e\" {}\n" +
		"group \"g\" {\n  egress = \"none\"\n  app \"x\" {\n    image = \"x\"\n    env   = { A = var.a, B = var.b, C = var.c, D = var.d, E = var.e }\n  }\n}\n")
	b, groups, diags := readOne(t.Context(), "g.hcl", src, values)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	want := map[string]string{"a": group.FromFlag, "b": group.FromFile, "c": group.FromEnvironment, "d": group.FromDefault, "e": "sallyport.vars.hcl"}
	got := b.ValuesOf(&groups[0])
	for _, v := range got {
		if v.From != want[v.Name] {
			t.Errorf("%s is from %q, want %q", v.Name, v.From, want[v.Name])
		}
	}
	if len(got) != len(want) {
		t.Errorf("values %+v", got)
	}
}
