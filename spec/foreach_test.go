package spec

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// A block with for_each is the same as one block for each key, in the order of the keys. So are
// the digests, and to write it so restarts nothing.
func TestForEachIsAsWrittenOut(t *testing.T) {
	const short = `
group "edge" {
  for_each = { b = 2, a = 1 }
  ambassador "proxy" {
    image = "registry.example/proxy:1"
    upstream "db" {
      for_each = ["y", "x"]
      listen   = 9000 + (each.key == "x" ? 1 : 2)
    }
    publish "" {
      for_each = { http = 8000 + each.value }
      host     = each.value
      port     = 80
    }
  }
  app "web" {
    image = "registry.example/web:${each.value}"
    env   = { DB = upstream["db-x"], SITE = each.key }
    file "/etc/web" {
      for_each = { "a.conf" = "1" }
      content  = each.value
    }
  }
  init "step" {
    for_each = { two = [], one = ["x"] }
    image    = "registry.example/step:1"
    args     = concat(["run"], each.value)
  }
}
`
	const one = `
group "edge-KEY" {
  ambassador "proxy" {
    image = "registry.example/proxy:1"
    upstream "db-x" { listen = 9001 }
    upstream "db-y" { listen = 9002 }
    publish "http" {
      host = 800NUMBER
      port = 80
    }
  }
  app "web" {
    image = "registry.example/web:NUMBER"
    env   = { DB = upstream.db-x, SITE = "KEY" }
    file "/etc/web/a.conf" { content = "1" }
  }
  init "step-one" {
    image = "registry.example/step:1"
    args  = ["run", "x"]
  }
  init "step-two" {
    image = "registry.example/step:1"
    args  = ["run"]
  }
}
`
	long := strings.NewReplacer("KEY", "a", "NUMBER", "1").Replace(one) + strings.NewReplacer("KEY", "b", "NUMBER", "2").Replace(one)
	var read [2][]Group
	for i, text := range []string{short, long} {
		src := source("x.hcl", text)
		groups, diags := Parse(src)
		if len(diags) > 0 {
			t.Fatal(printed(t, src, diags))
		}
		read[i] = groups
	}
	if diff := cmp.Diff(read[1], read[0], cmpopts.IgnoreFields(Group{}, "Pos")); diff != "" {
		t.Errorf("with for_each (-written out +for_each):\n%s", diff)
	}
}

// However many keys there are and however large the block, reading ends with one error.
func TestForEachEnds(t *testing.T) {
	var large strings.Builder
	for i := range 300 {
		fmt.Fprintf(&large, "    tmpfs \"/t%d\" { size = \"1MiB\" }\n", i)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"keys in keys", `
group "g" {
  for_each = [for i in range(100) : tostring(i)]
  egress   = "none"
  app "a" {
    for_each = [for i in range(100) : tostring(i)]
    image    = "x"
    tmpfs "/t" {
      for_each = [for i in range(100) : tostring(i)]
      size     = "1MiB"
    }
  }
}`, "Too many blocks"},
		{"a large block", `
group "g" {
  for_each = [for i in range(1000) : tostring(i)]
  egress   = "none"
  app "a" {
    image = "x"
` + large.String() + "  }\n}", "Too much to compute"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := source("x.hcl", tt.text)
			groups, diags := Parse(src)
			if text := printed(t, src, diags); len(groups) > 0 || len(diags) != 1 || !strings.HasPrefix(text, "Error: "+tt.want) {
				t.Errorf("%d groups, %d mistakes:\n%s", len(groups), len(diags), text)
			}
		})
	}
}
