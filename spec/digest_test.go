package spec

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// base is a group with everything that a digest is over. Each test changes one thing of it.
const base = `group "g" {
  dns    = "ambassador"
  labels = { team = "edge", tier = "gold" }
  network {
    dns { servers = ["192.0.2.53"] }
  }
  app "web" {
    image        = "web:1"
    command      = ["run"]
    args         = ["x"]
    env          = { A = "1", B = "2" }
    workdir      = "/srv"
    user         = "1000"
    capabilities = ["CHOWN", "KILL"]
    mount "data" { path = "/data" }
    mount "logs" { path = "/logs" }
    file "/etc/web" { content = "web" }
    resources {
      cpu    = 1
      memory = "64MiB"
      pids   = 10
    }
    restart { policy = "always" }
    stop { timeout = "10s" }
  }
  ambassador "proxy" {
    image = "proxy:1"
    upstream "api" {
      listen = 9001
      hosts  = ["api.example.com", "api.internal"]
    }
    publish "http" {
      host = 80
      port = 8080
    }
    allow = ["192.0.2.1:443/tcp"]
    intercept { port = 15001 }
    rate {
      out = "2Mbit"
      in  = "10Mbit"
    }
    quota = "5GiB"
    sysctls = { "net.ipv4.ping_group_range" = "0 100" }
    unsafe { capabilities = ["NET_ADMIN", "NET_RAW"] }
  }
  volume "data" { size = "1MiB" }
  volume "logs" { size = "2MiB" }
}
`

// rest is a group with everything that the base can't have.
const rest = `group "g" {
  egress = "none"
  update {
    auto_revert = true
  }
  resources { memory = "1GiB" }
  init "first" {
    image      = "web:1"
    on_failure = "stop-group"
  }
  sidecar "one" {
    image = "one:1"
  }
  sidecar "two" {
    image = "two:1"
    output {
      split = true
    }
    output_of { path = "/output" }
    after = ["one"]
    resources {
      memory    = "64MiB"
      swap      = "64MiB"
      io_weight = 50
    }
  }
  app "web" {
    image = "web:1"
    mount "data" { path = "/data" }
    mount "conf" { path = "/conf" }
    mount "spool" { path = "/spool" }
    mount "own" { path = "/own" }
    read_only = true
    tmpfs "/tmp" {}
    tmpfs "/run" { size = "1MiB" }
    probe "ready" {
      http     = { port = 8080 }
      interval = "5s"
    }
  }
  volume "conf" { host_path = "/srv/conf" }
  volume "data" {
    persistent = true
    owner      = "1000:1000"
  }
  volume "spool" {
    mode = "0700"
  }
  volume "own" {
    owner = "7:7"
  }
}
`

func parseOne(t testing.TB, text string) Group {
	t.Helper()
	src := source("test.hcl", text)
	groups, diags := Parse(src)
	if diags.HasErrors() || len(groups) != 1 {
		t.Fatalf("%d groups and:\n%s\n%s", len(groups), printed(t, src, diags), text)
	}
	return groups[0]
}

func changed(t testing.TB, text, old, new string) Group {
	t.Helper()
	if strings.Count(text, old) != 1 {
		t.Fatalf("%q stands %d times in the group", old, strings.Count(text, old))
	}
	return parseOne(t, strings.Replace(text, old, new, 1))
}

// digests returns the digest of the group, and of each container by name.
func digests(g Group) map[string]string {
	d := map[string]string{"group": g.Digest}
	for _, c := range g.Containers {
		d[c.Name] = c.Digest
	}
	return d
}

func TestDigestKeepsWhatMeansTheSame(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"comment", `image        = "web:1"`, "# the image\n image = \"web:1\" // here"},
		{"blank lines", `user         = "1000"`, "\n\n\nuser=\"1000\"\n\n"},
		{"order of attributes", "command      = [\"run\"]\n    args         = [\"x\"]", "args = [\"x\"]\ncommand = [\"run\"]"},
		{"order of keys", `{ A = "1", B = "2" }`, `{ B = "2", A = "1" }`},
		{"order of labels", `team = "edge", tier = "gold"`, `tier = "gold", team = "edge"`},
		{"order of capabilities", `["CHOWN", "KILL"]`, `["cap_kill", "CHOWN"]`},
		{"order of mounts", "mount \"data\" { path = \"/data\" }\n    mount \"logs\" { path = \"/logs\" }", "mount \"logs\" { path = \"/logs\" }\n    mount \"data\" { path = \"/data\" }"},
		{"order of volumes", "volume \"data\" { size = \"1MiB\" }\n  volume \"logs\" { size = \"2MiB\" }", "volume \"logs\" { size = \"2MiB\" }\n  volume \"data\" { size = \"1MiB\" }"},
		{"another way to write it", `memory = "64MiB"`, `memory = "65536KiB"`},
		{"order of hosts", `["api.example.com", "api.internal"]`, `["API.internal", "api.example.com"]`},
		{"another way to write a rate", `out = "2Mbit"`, `out = "2000kbit"`},
		{"another way to write a server", `"192.0.2.53"`, `"::ffff:192.0.2.53"`},
		{"order of what is given up", `["NET_ADMIN", "NET_RAW"]`, `["cap_net_raw", "NET_ADMIN", "NET_RAW"]`},
		{"computed", `listen = 9001`, `listen = 9000 + 1`},
		{"defaults of the output said aloud", `image = "proxy:1"`, "image = \"proxy:1\"\n output {\n split = false\n journal = false\n }"},
		{"no limit of its processes", `image = "proxy:1"`, "image = \"proxy:1\"\n ulimits {}"},
		{"defaults said aloud", `image = "proxy:1"`, "image = \"proxy:1\"\n restart { policy = \"always\" }\n stop { timeout = \"10s\" }\n resources { pids = 512 }"},
		{"default egress said aloud", `group "g" {`, "group \"g\" {\n egress = \"ambassador\""},
		{"default mode said aloud", `{ content = "web" }`, "{\n content = \"web\"\n mode = \"0444\"\n }"},
		{"place in the file", `group "g" {`, "variable \"x\" { default = 1 }\n\ngroup \"g\" {"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(digests(parseOne(t, base)), digests(changed(t, base, tt.old, tt.new))); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDigestKeepsWhatMeansTheSameInTheRest(t *testing.T) {
	tests := []struct{ name, old, new string }{
		{"default of an update", `auto_revert = true`, "auto_revert = true\n health_timeout = \"120s\"\n"},
		{"default of a failure", `image = "one:1"`, "image = \"one:1\"\n on_failure = \"restart\"\n"},
		{"a name twice", `["one"]`, `["one", "one"]`},
		{"no sidecar to wait for", `image = "one:1"`, "image = \"one:1\"\n after = []\n"},
		{"defaults of a probe", `interval = "5s"`, "interval = \"5000ms\"\n timeout = \"1s\"\n failures = 3\n successes = 1\n initial_delay = \"0s\""},
		{"default of a path", `{ port = 8080 }`, `{ port = 8080, path = "/" }`},
		{"another way to write a path", `"/srv/conf"`, `"/srv/x/../conf/"`},
		{"another way to write an owner", `"1000:1000"`, `"01000:1000"`},
		{"another way to write a mode", `"0700"`, `"700"`},
		{"default mode of an owner", `owner = "7:7"`, "owner = \"7:7\"\n mode = \"0750\"\n"},
		{"default of the shared memory", `tmpfs "/tmp" {}`, "tmpfs \"/tmp\" {}\n shm_size = \"64MiB\""},
		{"defaults of a tmpfs", `tmpfs "/tmp" {}`, "tmpfs \"/tmp/\" {\n size = \"65536KiB\"\n mode = \"1777\"\n exec = false\n }"},
		{"order of tmpfs blocks", "tmpfs \"/tmp\" {}\n    tmpfs \"/run\" { size = \"1MiB\" }", "tmpfs \"/run\" { size = \"1MiB\" }\n    tmpfs \"/tmp\" {}"},
		{"default of a volume", `mode = "0700"`, "mode = \"0700\"\n persistent = false\n size = \"64MiB\"\n"},
		{"another way to write where the output is", `"/output"`, `"//output/"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(digests(parseOne(t, rest)), digests(changed(t, rest, tt.old, tt.new))); diff != "" {
				t.Errorf("digests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDigestTellsWhatMatters(t *testing.T) {
	tests := []struct {
		name, old, new string
		replaced       []string // besides the group
	}{
		{"image", `"web:1"`, `"web:2"`, []string{"web"}},
		{"command", `["run"]`, `["run", "fast"]`, []string{"web"}},
		{"args", `["x"]`, `["y"]`, []string{"web"}},
		{"env", `A = "1"`, `A = "2"`, []string{"web"}},
		{"workdir", `"/srv"`, `"/opt"`, []string{"web"}},
		{"user", `"1000"`, `"1001"`, []string{"web"}},
		{"capabilities", `["CHOWN", "KILL"]`, `["CHOWN"]`, []string{"web"}},
		{"no capabilities", `["CHOWN", "KILL"]`, `[]`, []string{"web"}},
		{"default capabilities", `capabilities = ["CHOWN", "KILL"]`, ``, []string{"web"}},
		{"mount path", `path = "/data"`, `path = "/date"`, []string{"web"}},
		{"mount mode", `{ path = "/data" }`, "{\n path = \"/data\"\n read_only = true\n }", []string{"web"}},
		{"file content", `content = "web"`, `content = "wob"`, []string{"web"}},
		{"file path", `"/etc/web"`, `"/etc/wob"`, []string{"web"}},
		{"file mode", `{ content = "web" }`, "{\n content = \"web\"\n mode = \"0400\"\n }", []string{"web"}},
		{"cpu", `cpu    = 1`, `cpu = 2`, []string{"web"}},
		{"memory", `"64MiB"`, `"65MiB"`, []string{"web"}},
		{"settings of the container", `user         = "1000"`, "user = \"1000\"\n sysctls = { \"kernel.msgmax\" = 9000 }", []string{"web"}},
		{"settings of the network", `dns { servers = ["192.0.2.53"] }`, "dns { servers = [\"192.0.2.53\"] }\n sysctls = { \"net.core.somaxconn\" = 9000 }", nil},
		{"groups", `user         = "1000"`, "user = \"1000\"\n groups = [\"adm\"]", []string{"web"}},
		{"time zone", `user         = "1000"`, "user = \"1000\"\n timezone = \"UTC\"", []string{"web"}},
		{"processors", `cpu    = 1`, "cpu = 1\n cpuset = \"0\"", []string{"web"}},
		{"a limit of its processes", `stop { timeout = "10s" }`, "stop { timeout = \"10s\" }\n ulimits { nofile = 4096 }", []string{"web"}},
		{"pids", `pids   = 10`, `pids = 11`, []string{"web"}},
		{"size of a mounted volume", `"1MiB"`, `"3MiB"`, []string{"web"}},
		{"upstream's port", `listen = 9001`, `listen = 9002`, []string{"proxy"}},
		{"upstream's name", `upstream "api"`, `upstream "db"`, []string{"proxy", "web"}},
		{"one upstream more", `upstream "api"`, "upstream \"db\" { listen = 5432 }\n upstream \"api\"", []string{"proxy", "web"}},
		{"name of a container", `app "web"`, `app "wob"`, []string{"web", "wob"}},
		{"restart", `policy = "always"`, `policy = "never"`, nil},
		{"stop timeout", `timeout = "10s"`, `timeout = "11s"`, nil},
		{"stop signal", `timeout = "10s"`, `signal = "SIGINT"`, nil},
		{"publish host", `host = 80`, `host = 81`, nil},
		{"publish port", `port = 8080`, `port = 8081`, nil},
		{"allow", `:443/tcp`, `:80/tcp`, nil},
		{"no allow", `allow = ["192.0.2.1:443/tcp"]`, ``, nil},
		{"intercept", `port = 15001`, `port = 15002`, nil},
		{"no intercept", `intercept { port = 15001 }`, ``, nil},
		{"rate", `out = "2Mbit"`, `out = "3Mbit"`, nil},
		{"one rate less", `in  = "10Mbit"`, ``, nil},
		{"quota", `"5GiB"`, `"6GiB"`, nil},
		{"no quota", `quota = "5GiB"`, ``, nil},
		{"who may ping", `"0 100"`, `"0 101"`, nil},
		{"no ping", `sysctls = { "net.ipv4.ping_group_range" = "0 100" }`, ``, nil},
		{"hosts", `"api.example.com", `, ``, []string{"web"}},
		{"no hosts", `hosts  = ["api.example.com", "api.internal"]`, ``, []string{"web"}},
		{"who answers for names", `dns    = "ambassador"`, ``, []string{"web"}},
		{"whom the ambassador asks", `"192.0.2.53"`, `"192.0.2.54"`, []string{"proxy"}},
		{"the host's resolvers", `dns { servers = ["192.0.2.53"] }`, ``, []string{"proxy"}},
		{"what is given up", `["NET_ADMIN", "NET_RAW"]`, `["NET_RAW"]`, []string{"proxy"}},
		{"nothing given up", `unsafe { capabilities = ["NET_ADMIN", "NET_RAW"] }`, ``, []string{"proxy"}},
		{"labels", `"gold"`, `"iron"`, nil},
		{"probe", `stop { timeout = "10s" }`, "stop { timeout = \"10s\" }\n probe \"ready\" { tcp = { port = 1 } }", nil},
		{"volume more", `volume "data"`, "volume \"more\" {}\n volume \"data\"", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { replaces(t, base, tt.old, tt.new, tt.replaced) })
	}
}

func TestDigestTellsWhatMattersInTheRest(t *testing.T) {
	tests := []struct {
		name, old, new string
		replaced       []string // besides the group
	}{
		{"update", `auto_revert = true`, `auto_revert = false`, nil},
		{"no update", "update {\n    auto_revert = true\n  }", ``, nil},
		{"ends of an update", `auto_revert = true`, "auto_revert = true\n max_ends = 3\n", nil},
		{"time of an update", `auto_revert = true`, "auto_revert = true\n health_timeout = \"1m\"\n", nil},
		{"the group's resources", `"1GiB"`, `"2GiB"`, nil},
		{"failure", `"stop-group"`, `"restart"`, nil},
		{"default failure", `on_failure = "stop-group"`, ``, nil},
		{"order", `after = ["one"]`, ``, nil},
		{"probe", `interval = "5s"`, `interval = "6s"`, nil},
		{"test of a probe", `http     = { port = 8080 }`, `tcp = { port = 8080 }`, nil},
		{"swap", `swap      = "64MiB"`, `swap = "65MiB"`, []string{"two"}},
		{"no swap at all", `swap      = "64MiB"`, `swap = "0B"`, []string{"two"}},
		{"no limit of swap", `swap      = "64MiB"`, ``, []string{"two"}},
		{"io weight", `io_weight = 50`, `io_weight = 51`, []string{"two"}},
		{"disk", `io_weight = 50`, "io_weight = 50\n disk = \"1GiB\"", []string{"two"}},
		{"size of a volume on disk", `"1000:1000"`, "\"1000:1000\"\n size = \"1GiB\"", []string{"web"}},
		{"folder of the host", `"/srv/conf"`, `"/srv/other"`, []string{"web"}},
		{"in memory from now on", "persistent = true\n    owner      = \"1000:1000\"", ``, []string{"web"}},
		{"owner", `"1000:1000"`, `"1000:1001"`, []string{"web"}},
		{"mode", `"0700"`, `"0750"`, []string{"web"}},
		{"writable from now on", `read_only = true`, `read_only = false`, []string{"web"}},
		{"a first process of Sallyport's", `read_only = true`, "read_only = true\n init = true", []string{"web"}},
		{"shared memory", `read_only = true`, "read_only = true\n shm_size = \"1MiB\"", []string{"web"}},
		{"memory that is shared", `"/spool"`, `"/dev/shm"`, []string{"web"}},
		{"no tmpfs", `tmpfs "/tmp" {}`, ``, []string{"web"}},
		{"path of a tmpfs", `"/tmp"`, `"/var/tmp"`, []string{"web"}},
		{"size of a tmpfs", `{ size = "1MiB" }`, `{ size = "2MiB" }`, []string{"web"}},
		{"programs in a tmpfs", `"/tmp" {}`, `"/tmp" { exec = true }`, []string{"web"}},
		{"owner of a tmpfs", `"/tmp" {}`, `"/tmp" { owner = "5:5" }`, []string{"web"}},
		{"mode of a tmpfs", `"/tmp" {}`, `"/tmp" { mode = "0700" }`, []string{"web"}},
		{"size of the output", `image = "one:1"`, "image = \"one:1\"\n output { size = \"1MiB\" }\n", nil},
		{"output to the journal", `image = "one:1"`, "image = \"one:1\"\n output { journal = true }\n", nil},
		{"size and journal of split output", `split = true`, "split = true\n size = \"1MiB\"\n journal = true\n", nil},
		{"output in two files", `image = "one:1"`, "image = \"one:1\"\n output { split = true }\n", []string{"one"}},
		{"output in one file", `split = true`, ``, []string{"two"}},
		{"where the group's output is", `"/output"`, `"/other"`, []string{"two"}},
		{"no output of the group", `output_of { path = "/output" }`, ``, []string{"two"}},
		{"sidecar from now on", `init "first"`, `sidecar "first"`, []string{"first"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { replaces(t, rest, tt.old, tt.new, tt.replaced) })
	}
}

// A running container takes another bound on disk.
func TestDigestForgetsHowMuchDisk(t *testing.T) {
	bounded := strings.NewReplacer(`io_weight = 50`, "io_weight = 50\n disk = \"1GiB\"", `"1000:1000"`, "\"1000:1000\"\n size = \"2GiB\"").Replace(rest)
	replaces(t, bounded, `disk = "1GiB"`, `disk = "3GiB"`, nil)
	replaces(t, bounded, `size = "2GiB"`, `size = "3GiB"`, nil)
	replaces(t, bounded, `disk = "1GiB"`, ``, []string{"two"})
	replaces(t, bounded, `size = "2GiB"`, ``, []string{"web"})
}

// replaces checks that a change of the text gives new digests to the group and the named
// containers, and to no other.
func replaces(t *testing.T, text, old, new string, names []string) {
	t.Helper()
	before, after := digests(parseOne(t, text)), digests(changed(t, text, old, new))
	got := map[string]bool{}
	for _, all := range []map[string]string{before, after} {
		for name := range all {
			if before[name] != after[name] {
				got[name] = true
			}
		}
	}
	want := map[string]bool{"group": true}
	for _, name := range names {
		want[name] = true
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changed digests (-want +got):\n%s", diff)
	}
}

// The role is part of a container's digest, and the egress is part of the group's.
func TestDigestTellsRolesAndEgress(t *testing.T) {
	one := parseOne(t, "group \"g\" {\n egress = \"none\"\n app \"a\" { image = \"x\" }\n app \"b\" { image = \"x\" }\n}\n")
	two := parseOne(t, "group \"g\" {\n egress = \"direct\"\n sidecar \"a\" { image = \"x\" }\n app \"b\" { image = \"x\" }\n}\n")
	if one.Digest == two.Digest || one.Container("a").Digest == two.Container("a").Digest {
		t.Error("a sidecar in an open group has the digests of an app in a sealed one")
	}
	if one.Container("b").Digest != two.Container("b").Digest {
		t.Error("egress is no part of a container, and changed its digest")
	}
}

func TestGroupSurvivesJSON(t *testing.T) {
	for _, path := range glob(t, "testdata/*.hcl") {
		groups, _ := Parse(load(t, path))
		for _, want := range groups {
			text, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			var got Group
			if err := json.Unmarshal(text, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: group %s (-want +got):\n%s", path, want.Name, diff)
			}
			got.seal()
			if diff := cmp.Diff(digests(want), digests(got)); diff != "" {
				t.Errorf("%s: digests of group %s (-want +got):\n%s", path, want.Name, diff)
			}
		}
	}
}
