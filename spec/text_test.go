package spec

import "testing"

func TestTexts(t *testing.T) {
	proxy := Container{Name: "proxy", Role: Ambassador}
	proxy.Intercept = 15001
	tests := []struct{ name, got, want string }{
		{"container", proxy.Title(), "proxy (ambassador)"},
		{"container without labels", Container{Name: "web"}.Title(), "web"},
		{"intercept", proxy.InterceptText(), "members' TCP is led to port 15001 of proxy"},
		{"ping", Container{Name: "proxy", Door: Door{PingGroups: "0 99"}}.PingText(), "proxy may ping, as groups 0 to 99"},
		{"ping of one group", Container{Name: "proxy", Door: Door{PingGroups: "7 7"}}.PingText(), "proxy may ping, as group 7"},
		{"allowed network", Allow{Prefix: "203.0.113.0/24", Port: 443, Protocol: "tcp"}.String(), "203.0.113.0/24:443/tcp"},
		{"allowed IPv6 network", Allow{Prefix: "2001:db8::/32", Protocol: "udp"}.String(), "[2001:db8::]/32:*/udp"},
		{"port of every address", Publish{Host: 8443, Protocol: "tcp"}.HostPort(), "8443/tcp"},
		{"port of an IPv4 address", Publish{Address: "192.0.2.1", Host: 8443, Protocol: "tcp"}.HostPort(), "192.0.2.1:8443/tcp"},
		{"port of an IPv6 address", Publish{Address: "2001:db8::1", Host: 53, Protocol: "udp"}.HostPort(), "[2001:db8::1]:53/udp"},
		{"volume in memory", Volume{Name: "logs", Size: 64 << 20}.String(), "logs (64MiB)"},
		{"persistent volume", Volume{Name: "data", Persistent: true, Owner: "1:2", Mode: 0o700}.String(), "data (persistent, owner 1:2, mode 0700)"},
		{"folder of the host", Volume{Name: "conf", HostPath: "/srv/conf"}.String(), "conf (/srv/conf of the host)"},
		{"size", FormatSize(1536 << 20), "1.5GiB"},
		{"largest size", FormatSize(1 << 50), "1024TiB"},
		{"rate", Rate{Out: 2_000_000, In: 1_500}.String(), "2Mbit out, 1500bit in"},
		{"no rate", Rate{}.String(), ""},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestVolumeSatisfies(t *testing.T) {
	tests := []struct {
		name            string
		mounted, wanted Volume
		want            bool
	}{
		{"the same", Volume{Size: 1 << 20}, Volume{Size: 1 << 20}, true},
		{"rounded up to pages", Volume{Size: 64 << 10}, Volume{Size: 1}, true},
		{"larger", Volume{Size: 1<<20 + 64<<10}, Volume{Size: 1 << 20}, false},
		{"smaller", Volume{Size: 1<<20 - 1}, Volume{Size: 1 << 20}, false},
		{"default mode given", Volume{Owner: "0:0", Mode: 0o1777}, Volume{}, true},
		{"default mode of an owner given", Volume{Owner: "7:7", Mode: 0o750}, Volume{Owner: "7:7"}, true},
		{"another owner", Volume{Owner: "7:7"}, Volume{Owner: "7:8"}, false},
		{"another mode", Volume{Mode: 0o700}, Volume{}, false},
		{"persistent from now on", Volume{}, Volume{Persistent: true}, false},
		{"persistent, of any size", Volume{Persistent: true, Size: 5}, Volume{Persistent: true}, true},
		{"persistent, another mode", Volume{Persistent: true, Mode: 0o700}, Volume{Persistent: true}, false},
		{"folder of the host", Volume{HostPath: "/srv", Mode: 0o700}, Volume{HostPath: "/srv"}, true},
		{"another folder of the host", Volume{HostPath: "/srv"}, Volume{HostPath: "/mnt"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.mounted.Satisfies(tt.wanted); got != tt.want {
				t.Errorf("%v satisfies %v: %t, want %t", tt.mounted, tt.wanted, got, tt.want)
			}
		})
	}
}
