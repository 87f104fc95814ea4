package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"
	"pgregory.net/rapid"
)

func TestParseSize(t *testing.T) {
	tests := []struct {
		text string
		want int64 // 0: refused
	}{
		{"1B", 1}, {"1KiB", 1024}, {"1.5KiB", 1536}, {"128 MiB", 128 << 20}, {"2GiB", 2 << 30}, {"1TiB", 1 << 40}, {"0.5GiB", 512 << 20},
		{"", 0}, {"5", 0}, {"MiB", 0}, {"-1MiB", 0}, {"1mib", 0}, {"1MB", 0}, {"0.3B", 0}, {"1e3B", 0}, {"999999999999999TiB", 0}, {"1MiB ", 0},
	}
	for _, tt := range tests {
		got, problem := parseSize(tt.text)
		if (problem == "") != (tt.want > 0) || got != tt.want && tt.want > 0 {
			t.Errorf("%q is %d, %q; want %d", tt.text, got, problem, tt.want)
		}
	}
}

func TestRates(t *testing.T) {
	tests := []struct {
		text string
		bits int64  // 0: refused
		says string // a part of the refusal
	}{
		{"8000bit", 8_000, ""}, {"8kbit", 8_000, ""}, {"512kbit", 512_000, ""}, {"2Mbit", 2_000_000, ""}, {"1Gbit", 1_000_000_000, ""},
		{"1.5Mbit", 1_500_000, ""}, {"2 Mbit", 2_000_000, ""}, {"0.000001Mbit", 1, ""},
		{"2MB", 0, "in bytes, and a rate is in bits"}, {"2MB/s", 0, "in bytes"}, {"2MiB", 0, "in bytes"}, {"200KBps", 0, "in bytes"}, {"5bytes", 0, "in bytes"},
		{"2Mb", 0, `Did you mean "2Mbit"?`}, {"2mbit", 0, `"2Mbit"?`}, {"2Mbps", 0, `"2Mbit"?`}, {"2Mbit/s", 0, `"2Mbit"?`}, {"512K", 0, `"512kbit"?`}, {"1.5gbit", 0, `"1.5Gbit"?`}, {"9bits", 0, `"9bit"?`},
		{"2", 0, "no unit"}, {"2Tbit", 0, "unknown unit"}, {"2Mibit", 0, "unknown unit"}, {"Mbit", 0, "not a rate"}, {"", 0, "not a rate"}, {"-2Mbit", 0, "not a rate"},
		{"2Mbit out", 0, "not a rate"}, {"1e3kbit", 0, "unknown unit"}, {"0.5bit", 0, "not a whole number"}, {"999999999999999Gbit", 0, "not a whole number"},
	}
	for _, tt := range tests {
		bits, problem := parseRate(tt.text)
		if bits != tt.bits || (problem == "") != (tt.says == "") || !strings.Contains(problem, tt.says) {
			t.Errorf("%q is %d, %q; want %d, %q", tt.text, bits, problem, tt.bits, tt.says)
		}
	}
}

func TestRatesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Int64Range(1, maxRate).Draw(t, "bits")
		if got, problem := parseRate(FormatRate(bits)); got != bits {
			t.Errorf("%s is %d, %q; want %d", FormatRate(bits), got, problem, bits)
		}
	})
}

func TestRateInWords(t *testing.T) {
	for want, r := range map[string]Rate{"": {}, "2Mbit out": {Out: 2_000_000}, "1500kbit in": {In: 1_500_000}, "1Gbit out, 8001bit in": {Out: 1_000_000_000, In: 8_001}} {
		if got := r.String(); got != want {
			t.Errorf("%+v is %q, want %q", r, got, want)
		}
	}
}

func TestCanonicalNames(t *testing.T) {
	for given, want := range map[string]string{"hostPID": "host_pid", "host_network": "host_network", "CapAdd": "cap_add", "cap-add": "cap_add", "runtimeClassName": "runtime_class_name", "UserNS": "user_ns", "x": "x", "": ""} {
		if got := canonical(given); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
}

func TestSizesReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.Int64Range(1, 1<<49).Draw(t, "bytes")
		if got, problem := parseSize(exactSize(bytes)); got != bytes {
			t.Errorf("%s is %d, %q; want %d", exactSize(bytes), got, problem, bytes)
		}
	})
}

func TestSignalName(t *testing.T) {
	tests := map[string]string{
		"SIGTERM": "SIGTERM", "term": "SIGTERM", "Quit": "SIGQUIT", "SIGRTMIN": "SIGRTMIN", "rtmin+3": "SIGRTMIN+3", "SIGRTMAX-14": "SIGRTMAX-14",
		"": "", "15": "", "SIG": "", "SIGSTOP": "", "SIGRTMIN+0": "", "SIGRTMIN+16": "", "SIGRTMAX+1": "",
	}
	for given, want := range tests {
		if got := signalName(given, signals); got != want {
			t.Errorf("%q is %q, want %q", given, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"image", "command", "env", "port", "egress", "ambassador"}
	tests := map[string]string{
		"imgae": "image", "prot": "port", "Env": "env", "evn": "env", "comand": "command", "ambasador": "ambassador",
		"": "", "x": "", "size": "", "completely": "", strings.Repeat("egress", 20): "",
	}
	for given, want := range tests {
		if got := nearest(given, candidates); got != want {
			t.Errorf("%q is near %q, want %q", given, got, want)
		}
	}
	if got := nearest("imgae", slices.Repeat(candidates, 100)); got != "" {
		t.Errorf("looked through %d names and found %q", 100*len(candidates), got)
	}
}

func TestWayOut(t *testing.T) {
	leads := []string{"/", "/run", "/var", "/var/run", "/var/lib", "/run/docker.sock", "/var/run/docker.sock", "/run//containerd/x", "/run/user/1000/bus", "/dev", "/dev/net/tun", "/proc/1", "/sys"}
	safe := []string{"/srv", "/run/app", "/runner", "/var/lib/app", "/devices", "relative", "", "/home/x/run/docker.sock"}
	for _, p := range leads {
		if wayOut(p) == "" {
			t.Errorf("%q is taken for harmless", p)
		}
	}
	for _, p := range safe {
		if why := wayOut(p); why != "" {
			t.Errorf("%q: %s", p, why)
		}
	}
}

func TestHostPathRefused(t *testing.T) {
	tests := []struct {
		path               string
		writable, readOnly bool // refused
	}{
		{"/srv/data", false, false}, {"/home/pi/photos", false, false}, {"/mnt", false, false}, {"/opt/app", false, false}, {"/var/lib/app", false, false},
		{"/etc", true, false}, {"/etc/ssl/certs", true, false}, {"/usr/share/zoneinfo", true, false}, {"/root/.ssh", true, false}, {"/boot", true, false},
		{"/var/log", true, false}, {"/var/lib/docker/volumes/x", true, false}, {"/srv/../etc/cron.d", true, false}, {"/etcetera", false, false},
		{"/", true, true}, {"/var", true, true}, {"/var/lib", true, true}, {"/run", true, true}, {"/var/run/dbus", true, true}, {"/dev", true, true},
		{"/var/lib/sallyport/volumes/g/data", true, true}, {"/run/libvirt", true, true}, {"/var/snap/lxd/common/lxd", true, true}, {"/run/udev/rules.d", true, false},
	}
	for _, tt := range tests {
		for readOnly, want := range map[bool]bool{false: tt.writable, true: tt.readOnly} {
			if why := HostPathRefused(tt.path, readOnly); (why != "") != want {
				t.Errorf("%s, read-only %t: %q, want a refusal: %t", tt.path, readOnly, why, want)
			}
		}
	}
}

// A forbidden name is not in the schema, and each capability is on one list only.
func TestTablesAgree(t *testing.T) {
	for _, taken := range takenAway {
		for _, name := range taken.names {
			if in := parents(name); len(in) > 0 {
				t.Errorf("%q is taken away, and allowed in %v", name, in)
			}
		}
	}
	for name := range foreign {
		for _, kind := range containerKinds {
			if slices.Contains(kinds[kind].attrs, name) || slices.Contains(kinds[kind].blocks, name) {
				t.Errorf("%q is a word of other systems, and allowed in %s", name, kind)
			}
		}
	}
	for parent, names := range foreignIn {
		for name := range names {
			if in := parents(name); parent == anyContainer && slices.ContainsFunc(containerKinds, func(kind string) bool { return slices.Contains(in, kind) }) {
				t.Errorf("%q is a word of other systems, and allowed in a container", name)
			}
			if slices.Contains(kinds[parent].attrs, name) || slices.Contains(kinds[parent].blocks, name) {
				t.Errorf("%q is a word of other systems, and allowed in %s", name, parent)
			}
		}
	}
	for name := range waysOut {
		if slices.Contains(grantable, name) || slices.Contains(otherCapabilities, name) {
			t.Errorf("%s is a way out, and on another list", name)
		}
	}
	if all := len(waysOut) + len(grantable) + len(otherCapabilities); all != 41 {
		t.Errorf("%d capabilities, and Linux has 41", all)
	}
	if !slices.IsSorted(DefaultCapabilities) {
		t.Errorf("not sorted: %v", DefaultCapabilities)
	}
}

// Every function is called once by name, so none can have a broken specification.
func TestFunctions(t *testing.T) {
	tests := []struct{ expr, want string }{
		{`abs(-1)`, "1"}, {`base64decode(base64encode("hé"))`, "hé"}, {`can(1 + "x")`, "false"}, {`ceil(1.2)`, "2"}, {`chomp("a\n")`, "a"},
		{`length(chunklist([1, 2, 3], 2))`, "2"}, {`coalesce(null, "a")`, "a"}, {`coalescelist([], ["a"])[0]`, "a"}, {`compact(["", "a"])[0]`, "a"},
		{`length(concat([1], [2]))`, "2"}, {`contains(["a"], "a")`, "true"}, {`length(distinct(["a", "a"]))`, "1"}, {`element(["a", "b"], 3)`, "b"},
		{`length(flatten([[1], [2, [3]]]))`, "3"}, {`floor(1.8)`, "1"}, {`format("%03d", 7)`, "007"}, {`formatlist("%s!", ["a"])[0]`, "a!"},
		{`join("-", ["a", "b"])`, "a-b"}, {`jsondecode("[5]")[0]`, "5"}, {`jsonencode({ a = [1] })`, `{"a":[1]}`}, {`keys({ b = 1, a = 2 })[0]`, "a"},
		{`length("日本")`, "2"}, {`length({ a = 1 })`, "1"}, {`length(toset(["a", "a"]))`, "1"}, {`lookup({ a = 1 }, "b", 2)`, "2"}, {`lower("A")`, "a"}, {`max(1, 2)`, "2"},
		{`merge({ a = 1 }, { a = 2 }).a`, "2"}, {`min(1, 2)`, "1"}, {`parseint("ff", 16)`, "255"}, {`range(3)[2]`, "2"}, {`regex("b+", "abbc")`, "bb"},
		{`length(regexall("b", "abbc"))`, "2"}, {`replace("aXa", "X", "-")`, "a-a"}, {`reverse(["a", "b"])[0]`, "b"}, {`length(setintersection(["a"], ["b"]))`, "0"},
		{`length(setsubtract(["a"], ["b"]))`, "1"}, {`length(setunion(["a"], ["b"]))`, "2"}, {`slice(["a", "b"], 1, 2)[0]`, "b"}, {`sort(["b", "a"])[0]`, "a"},
		{`split(",", "a,b")[1]`, "b"}, {`strlen("ab")`, "2"}, {`substr("abc", 1, 1)`, "b"}, {`title("ab")`, "Ab"}, {`tobool("true")`, "true"}, {`tolist(["a"])[0]`, "a"},
		{`tomap({ a = 1 }).a`, "1"}, {`tonumber("5")`, "5"}, {`tostring(5)`, "5"}, {`trim("xax", "x")`, "a"}, {`trimprefix("xa", "x")`, "a"}, {`trimspace(" a ")`, "a"},
		{`trimsuffix("ax", "x")`, "a"}, {`try(1 + "x", "a")`, "a"}, {`upper("a")`, "A"}, {`values({ a = "b" })[0]`, "b"}, {`zipmap(["a"], ["b"]).a`, "b"},
		{`format("100%% %s", "a")`, "100% a"}, {`file("haproxy.cfg")`, "frontend payments\n"}, {`join(" ", fileset("conf", "*.tpl"))`, "bad.tpl call.tpl half.tpl self.tpl web.tpl"},
		{`join("", fileset("conf", "*.none"))`, ""}, {`templatefile("conf/web.tpl", { ports = { a = 1 } })`, "A=1\n"}, {`yamldecode(file("ports.yaml")).ports.web`, "8080"},
		{`sha256("a")`, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"}, {`cidrhost("10.0.0.9/30", 3)`, "10.0.0.11"}, {`cidrhost("10.0.0.0/8", -1)`, "10.255.255.255"},
		{`cidrnetmask("0.0.0.0/0")`, "0.0.0.0"}, {`cidrnetmask("10.0.0.1/32")`, "255.255.255.255"}, {`cidrsubnet("2001:db8::/32", 16, 255)`, "2001:db8:ff::/48"}, {`cidrsubnet("10.0.0.0/30", 0, 0)`, "10.0.0.0/30"},
		{`join(" ", cidrsubnets("10.0.0.0/8", 8, 4, 8))`, "10.0.0.0/16 10.16.0.0/12 10.32.0.0/16"}, {`length(cidrsubnets("10.0.0.0/8"))`, "0"},
	}
	called := map[string]bool{}
	for _, tt := range tests {
		g := parseOne(t, "group \"g\" {\n egress = \"none\"\n app \"a\" {\n image = \"x\"\n env = { V = "+tt.expr+" }\n }\n}\n")
		if got := g.Containers[0].Env["V"]; got != tt.want {
			t.Errorf("%s is %q, want %q", tt.expr, got, tt.want)
		}
		for name := range functions {
			if strings.Contains(tt.expr, name+"(") {
				called[name] = true
			}
		}
	}
	for _, name := range functionNames {
		if !called[name] {
			t.Errorf("%s is never called", name)
		}
	}
}

func TestWeight(t *testing.T) {
	tests := []struct {
		v        cty.Value
		min, max int
	}{
		{cty.StringVal("abcd"), 4, 4},
		{cty.ListVal([]cty.Value{cty.StringVal("abcd"), cty.StringVal("e")}), 5, 8},
		{cty.NullVal(cty.String), 0, 0},
		{cty.MustParseNumberVal("1e300"), 900, 1100},
		{cty.True, 1, 1},
	}
	for _, tt := range tests {
		if got := weight(tt.v); got < tt.min || got > tt.max {
			t.Errorf("%#v weighs %d", tt.v, got)
		}
	}
}
