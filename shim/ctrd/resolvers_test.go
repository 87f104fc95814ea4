package ctrd

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The host in a folder has the files of each case. The golden file has the ambassador's
// resolv.conf.
func TestHostResolvers(t *testing.T) {
	const stub, dnsmasq = "# stub\nnameserver 127.0.0.53\noptions edns0 trust-ad\nsearch example.com\n", "nameserver 127.0.0.1\n"
	tests := []struct {
		name  string
		files map[string]string
	}{
		{"real", map[string]string{resolvConf: "search example.com\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions timeout:1\n"}},
		{"systemd-resolved", map[string]string{
			resolvConf: stub, behindStubs[0]: "nameserver 192.0.2.53\nnameserver fe80::1%eth0\nsearch example.com\n",
		}},
		{"dnsmasq of NetworkManager", map[string]string{resolvConf: dnsmasq, behindStubs[1]: "nameserver 192.0.2.54\n"}},
		{"dnsmasq beside resolvconf", map[string]string{resolvConf: dnsmasq, behindStubs[2]: "nameserver 192.0.2.55\n"}},
		{"a stub behind a stub", map[string]string{resolvConf: dnsmasq, behindStubs[0]: "nameserver 127.0.0.2\n", behindStubs[1]: "nameserver 192.0.2.56\n"}},
		{"mixed", map[string]string{
			resolvConf: "search example.com\nnameserver 127.0.0.1\nnameserver 192.0.2.53\nnameserver ::1\noptions ndots:2\n", behindStubs[0]: "nameserver 192.0.2.99\n",
		}},
		{"loopback under other names", map[string]string{resolvConf: "nameserver 0.0.0.0\nnameserver ::\nnameserver ::ffff:127.0.0.1\nnameserver 192.0.2.53\n"}},
		{"broken lines", map[string]string{resolvConf: "nameserver\nnameserver resolver.example\n#nameserver 192.0.2.1\n nameserver 192.0.2.2\nnameserver\t192.0.2.53 # the one\n"}},
		{"no end of the last line", map[string]string{resolvConf: "nameserver 127.0.0.1\nnameserver 192.0.2.53"}},
		{"none but itself", map[string]string{resolvConf: stub, behindStubs[0]: "nameserver 127.0.0.1\n"}},
		{"unbound on loopback", map[string]string{resolvConf: "nameserver ::1\nsearch example.com\n"}},
		{"nothing", nil},
	}
	got := ""
	for _, tt := range tests {
		root := t.TempDir()
		for path, text := range tt.files {
			path = filepath.Join(root, path)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		conf, servers, err := hostResolvers(root)
		if err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprintf("-- %s: %v --\n%s\n", tt.name, servers, conf)
	}
	goldenText(t, "resolvers.txt", got)
}

func TestHostResolversUnreadable(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, resolvConf), 0o755); err != nil {
		t.Fatal(err)
	}
	if conf, servers, err := hostResolvers(root); err == nil {
		t.Errorf("a folder in place of the file gave %q, %v", conf, servers)
	}
}

var update = flag.Bool("update", false, "rewrite golden files")

// goldenText compares a text with testdata/name.
func goldenText(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}
