package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDeclared(t *testing.T) {
	for _, c := range []struct{ name, src, want string }{
		{"in order", "variable \"b\" {}\nvariable \"a\" { default = 1 }\ngroup \"g\" {}\n", "b a"},
		{"none", "group \"g\" {}\n", ""},
		{"as far as it can be read", "variable \"a\" {}\ngroup \"g\" {", "a"},
		{"no HCL at all", "\x00", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, strings.Join(declared("x.hcl", []byte(c.src)), " ")); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
