package diff_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/spec"
)

// parse returns the one group of a file.
func parse(t *testing.T, text string, vars map[string]string) *spec.Group {
	t.Helper()
	groups, diags := spec.Parse(spec.Source{Name: "g.hcl", Dir: "/", Bytes: []byte(text), Vars: vars})
	if diags.HasErrors() || len(groups) != 1 {
		t.Fatalf("%d groups: %v", len(groups), diags)
	}
	return &groups[0]
}

func texts(changes []diff.Change) string {
	var all strings.Builder
	for _, c := range changes {
		fmt.Fprintln(&all, c)
	}
	return all.String()
}

const before = `
variable "tag" { default = "1" }
variable "hosts" { default = ["a<b"] }
variable "same" { default = true }
group "shop" {
  labels = { team = "edge", tier = "gold" }
  volume "data" { persistent = true }
  volume "tmp" {}
  resources { memory = "64MiB" }
  ambassador "proxy" {
    image = "proxy:1"
    allow = ["203.0.113.0/24:443/tcp", "198.51.100.1:53/udp"]
    upstream "api" { listen = 9001 }
    publish "https" {
      host = 8443
      port = 443
    }
    rate { out = "2Mbit" }
  }
  init "a" { image = "init:1" }
  init "b" { image = "init:1" }
  app "web" {
    image = "web:${var.tag}"
    env   = { LEVEL = "info", GONE = "x", HOSTS = join(",", var.hosts), LONG = join("", [for i in range(40) : "abc"]) }
    args  = ["-v"]
    mount "data" { path = "/data" }
    file "/etc/x" { content = "one\ntwo\nthree\nfour\n" }
    file "/etc/mode" { content = "x" }
    probe "ready" { tcp = { port = 80 } }
    resources { memory = "32MiB" }
  }
  app "old" { image = "old:1" }
}
`

const now = `
variable "tag" { default = "2" }
variable "hosts" { default = ["a<b", "c"] }
variable "same" { default = true }
group "shop" {
  labels = { team = "core" }
  resources { memory = "65MiB" }
  volume "logs" { size = "1MiB" }
  volume "data" {
    persistent = true
    size       = "1000000B"
  }
  init "b" { image = "init:1" }
  init "a" { image = "init:1" }
  ambassador "proxy" {
    image = "proxy:1"
    allow = ["203.0.113.0/24:443/tcp", "[2001:db8::]/32:*/tcp"]
    upstream "api" { listen = 9002 }
    upstream "db" {
      listen = 9003
      hosts  = ["db.example"]
    }
    rate {
      out = "2Mbit"
      in  = "1Gbit"
    }
    intercept { port = 9090 }
    unsafe { capabilities = ["NET_RAW"] }
  }
  app "new" { image = "new:1" }
  app "web" {
    file "/etc/mode" {
      content = "x"
      mode    = "0600"
    }
    file "/etc/x" { content = "one\n2\n3\nfour\nfive\n" }
    image        = "web:${var.tag}"
    capabilities = []
    read_only    = true
    env          = { LEVEL = "debug", HOSTS = join(",", var.hosts), LONG = join("", [for i in range(41) : "abc"]), NEW = "a\nb", PLACE = var.same ? "y" : "n" }
    args         = ["-v", "-v"]
    mount "data" {
      path      = "/data"
      read_only = true
    }
    mount "logs" { path = "/logs" }
    probe "ready" {
      tcp      = { port = 80 }
      interval = "1m30s"
    }
    resources {
      memory = "32MiB"
      swap   = "0B"
      cpu    = 0.5
    }
    stop { signal = "quit" }
  }
}
`

func TestGroups(t *testing.T) {
	const want = `labels.team: "edge" -> "core"
resources.memory: 64MiB -> 65MiB
labels.tier: "gold" -> none
order of inits: ["a", "b"] -> ["b", "a"]
proxy: upstream api.listen: 9001 -> 9002
proxy: upstream db: added: listen 9003, hosts ["db.example"]
proxy: allow [2001:db8::]/32:*/tcp: added
proxy: intercept.port: none -> 9090
proxy: rate.in: none -> 1Gbit
proxy: unsafe.capabilities: none -> ["NET_RAW"]
proxy: publish https: removed: host 8443, port 443, protocol "tcp"
proxy: allow 198.51.100.1/32:53/udp: removed
new: added: image "new:1"
web: image: "web:1" -> "web:2"
web: args: ["-v"] -> ["-v", "-v"]
web: env.HOSTS: "a<b" -> "a<b,c"
web: env.LEVEL: "info" -> "debug"
web: env.LONG: "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcab… (122 bytes, sha256:f04970baae06) -> "abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcab… (125 bytes, sha256:9c3819294ad1)
web: env.NEW: none -> "a\nb"
web: env.PLACE: none -> "y"
web: capabilities: none -> []
web: read_only: false -> true
web: mount /data.read_only: false -> true
web: mount /logs: added: volume "logs"
web: file /etc/mode.mode: none -> 0600
web: file /etc/x: content differs (3 lines)
web: resources.cpu: none -> 0.5
web: resources.swap: none -> 0B
web: stop.signal: none -> "SIGQUIT"
web: probe ready.interval: 10s -> 1m30s
web: env.GONE: "x" -> none
old: removed: image "old:1"
volume data: size: none -> 1000000B
volume logs: added: size 1MiB
volume tmp: removed: size 64MiB
var.hosts: ["a<b"] -> ["a<b","c"]
var.tag: "1" -> "2"
`
	got := texts(diff.Groups(parse(t, before, nil), parse(t, now, nil)))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// An empty allow list is not the same as none.
func TestAllowNowhere(t *testing.T) {
	const file = `group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    # allow
  }
}`
	none, nowhere, one := parse(t, file, nil), parse(t, strings.Replace(file, "# allow", "allow = []", 1), nil), parse(t, strings.Replace(file, "# allow", `allow = ["192.0.2.1:1/udp"]`, 1), nil)
	for _, tt := range []struct {
		before, now *spec.Group
		want        string
	}{
		{none, nowhere, "p: allow: none -> []\n"},
		{nowhere, none, "p: allow: [] -> none\n"},
		{nowhere, one, "p: allow 192.0.2.1/32:1/udp: added\np: allow: [] -> none\n"},
		{nowhere, nowhere, ""},
	} {
		if diff := cmp.Diff(tt.want, texts(diff.Groups(tt.before, tt.now))); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// What does not matter to a group is no change.
func TestNoChange(t *testing.T) {
	g := parse(t, before, nil)
	if got := texts(diff.Groups(g, g)); got != "" {
		t.Errorf("a group differs from itself:\n%s", got)
	}
	const a = `
group "g" {
  egress = "none"
  app "x" {
    image = "x"
    env   = { A = "1", B = "2" }
    file "/a" { content = "a" }
    file "/b" { content = "b" }
  }
  app "y" { image = "y" }
}
`
	const b = `
variable "v" { default = "1" }
group "g" {
  app "y" { image = "y" }
  app "x" {
    file "/b" { content = "b" }
    file "/a" { content = "a" }
    env   = { B = "2", A = var.v }
    image = "x"
    resources { pids = 512 }
  }
  egress = "none"
}
`
	if got := texts(diff.Groups(parse(t, a, nil), parse(t, b, nil))); got != "" {
		t.Errorf("blocks in another order differ:\n%s", got)
	}
	if got := diff.Groups(nil, g); got != nil {
		t.Errorf("a new group differs from none: %v", got)
	}
}

// A definition that was read from disk is compared with one that was just parsed.
func TestKeptDefinition(t *testing.T) {
	for _, text := range []string{before, now} {
		g, kept := parse(t, text, nil), &spec.Group{}
		data, err := json.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, kept); err != nil {
			t.Fatal(err)
		}
		if got := texts(diff.Groups(kept, g)); got != "" {
			t.Errorf("a kept definition differs:\n%s", got)
		}
	}
}

func TestSummary(t *testing.T) {
	changes := diff.Groups(parse(t, before, nil), parse(t, now, nil))
	const want = `labels.team, resources.memory, labels.tier, order of inits, upstream api.listen of proxy, upstream db of proxy, and 31 more`
	if got := diff.Summary(changes, 0); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, tt := range []struct {
		change diff.Change
		want   string
	}{
		{diff.Change{Container: "web", Kind: diff.Added}, "web added"},
		{diff.Change{Volume: "data", Kind: diff.Removed}, "volume data removed"},
		{diff.Change{Volume: "data", Attribute: "size", Kind: diff.Changed}, "size of volume data"},
		{diff.Change{Variable: "tag", Kind: diff.Changed}, "var.tag"},
	} {
		if got := diff.Summary([]diff.Change{tt.change}, 0); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// Readers of the control socket see no value of a group file.
func TestWithoutValues(t *testing.T) {
	changes := diff.Groups(parse(t, before, nil), parse(t, now, nil))
	plain := diff.WithoutValues(changes)
	if diff.Summary(plain, 0) != diff.Summary(changes, 0) {
		t.Errorf("%q, want %q", diff.Summary(plain, 0), diff.Summary(changes, 0))
	}
	for _, c := range plain {
		if c.Before+c.Now != "" || c.Lines != 0 {
			t.Errorf("%+v has a value", c)
		}
	}
	if got := plain[0].String(); got != "labels.team: differs" {
		t.Errorf("%q", got)
	}
	if changes[0].Now == "" {
		t.Error("the changes that were given lost their values")
	}
}

func TestContents(t *testing.T) {
	file := func(content string) *spec.Group {
		return &spec.Group{Containers: []spec.Container{{Name: "a", Files: []spec.File{{Path: "/x", Content: []byte(content)}}}}}
	}
	for _, tt := range []struct{ name, before, now, want string }{
		{"one line", "a\nb\n", "a\nc\n", "a: file /x: content differs (1 line)\n"},
		{"the newline at the end", "a", "a\n", "a: file /x: content differs (1 line)\n"},
		{"lines that look like a header", "--- a\n", "+++ b\n--- a\n", "a: file /x: content differs (1 line)\n"},
		{"from nothing", "", "a\nb\n", "a: file /x: content differs (2 lines)\n"},
		{"binary", "\x00a", "\xff", "a: file /x.content: 2 bytes, sha256:022a6979e6da -> 1 bytes, sha256:a8100ae6aa19\n"},
		{"text to binary", "a\nb\n", "\xff", "a: file /x.content: 2 lines -> 1 bytes, sha256:a8100ae6aa19\n"},
	} {
		if got := texts(diff.Groups(file(tt.before), file(tt.now))); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
