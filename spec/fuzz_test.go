package spec

import (
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
)

// Any bytes give an error or a group, and never a panic. A group survives JSON and keeps its
// digests. A second reading gives the same again. Run it with -fuzzminimizetime 10x: by default
// every new find is shortened for a minute.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.hcl", "testdata/bad/*.hcl"} {
		for _, path := range glob(f, pattern) {
			f.Add(load(f, path).Bytes)
		}
	}
	for _, path := range glob(f, "testdata/bad/*.hcl.json") {
		f.Add(load(f, path).Bytes)
	}
	for _, path := range glob(f, "testdata/*.hcl") {
		f.Add(asJSON(f, load(f, path).Bytes))
	}
	f.Add([]byte(base))
	f.Add([]byte(rest))
	f.Fuzz(func(t *testing.T, text []byte) {
		src := source("fuzz.hcl", string(text))
		groups, diags := Parse(src)
		if len(groups) == 0 && !diags.HasErrors() {
			t.Error("neither a group nor an error")
		}
		for _, d := range diags {
			if d.Summary == "" || d.Detail == "" || d.Subject == nil || d.Subject.Start.Line < 1 {
				t.Errorf("incomplete diagnostic: %#v", d)
			}
		}
		if err := WriteDiagnostics(io.Discard, map[string][]byte{src.Name: src.Bytes}, diags, 0, true); err != nil {
			t.Error(err)
		}
		again, diagsAgain := Parse(src)
		if diff := cmp.Diff(groups, again); diff != "" {
			t.Errorf("second reading (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(texts(diags), texts(diagsAgain)); diff != "" {
			t.Errorf("mistakes at the second reading (-first +second):\n%s", diff)
		}
		for _, g := range groups {
			checkGroupValue(t, g)
		}
		Conflicts(append(groups, groups...))
		Variables(text)
	})
}

func texts(diags hcl.Diagnostics) []string {
	var all []string
	for _, d := range diags {
		all = append(all, d.Error())
	}
	return all
}

// checkGroupValue checks what every group from Parse has in common.
func checkGroupValue(t *testing.T, g Group) {
	t.Helper()
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var back Group
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	back.seal()
	if back.Digest != g.Digest {
		t.Errorf("digest of group %q is another one after JSON", g.Name)
	}
	if len(g.Name) == 0 || len(g.Name) > maxGroupName {
		t.Errorf("group name %q", g.Name)
	}
	if (g.Ambassador() != nil) != (g.Egress == EgressAmbassador) {
		t.Errorf("egress %q and ambassador %v", g.Egress, g.Ambassador())
	}
	checkLifeValue(t, g)
	apps := 0
	for _, c := range g.Containers {
		if len(ID(g.Name, c.Name)) > 76 {
			t.Errorf("id %q is too long for containerd", ID(g.Name, c.Name))
		}
		if c.Role == App {
			apps++
		}
		if c.Role == Ambassador {
			checkDoorValue(t, g, c)
		} else if !reflect.ValueOf(c.Door).IsZero() {
			t.Errorf("member %q has what only an ambassador has", c.Name)
		}
		for _, capability := range c.Capabilities {
			if leadsOut(capability) != "" {
				t.Errorf("%q has %s", c.Name, capability)
			}
		}
		if c.Image == "" || c.Resources.PIDs < 1 || c.Restart.Policy == "" || c.Stop.Timeout <= 0 {
			t.Errorf("%q lacks a default: %+v", c.Name, c)
		}
		for _, m := range c.Mounts {
			if m.Path == "" || within(m.Path, "/proc") || within(m.Path, "/sys") || within(m.Path, "/dev") && m.Path != SharedMemory {
				t.Errorf("%q has a mount at %q", c.Name, m.Path)
			}
		}
	}
	if apps == 0 {
		t.Errorf("group %q has no app", g.Name)
	}
	if g.DNS != DNSNone && (g.DNS != DNSAmbassador || g.Ambassador() == nil) {
		t.Errorf("dns %q and ambassador %v", g.DNS, g.Ambassador())
	}
	for _, s := range g.Network.Servers {
		if a, err := netip.ParseAddr(s); err != nil || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() || a.Is4In6() {
			t.Errorf("server %q", s)
		}
	}
	if len(g.Network.Servers) > maxServers || len(g.Network.Servers) > 0 && g.Ambassador() == nil {
		t.Errorf("servers %v and ambassador %v", g.Network.Servers, g.Ambassador())
	}
}

// checkLifeValue checks the start order, the probes and the volumes of a group from Parse.
func checkLifeValue(t *testing.T, g Group) {
	t.Helper()
	if g.Update.AutoRevert && g.Update.HealthTimeout <= 0 {
		t.Errorf("update without an end: %+v", g.Update)
	}
	ready := map[string]bool{}
	for range g.Containers { // each round starts at least one more sidecar, unless there is a circle
		for _, c := range g.Containers {
			ready[c.Name] = ready[c.Name] || !slices.ContainsFunc(c.After, func(name string) bool { return !ready[name] })
		}
	}
	for _, c := range g.Containers {
		if !ready[c.Name] || len(c.After) > 0 && c.Role != Sidecar && c.Role != App {
			t.Errorf("%s %q never starts: it is after %v", c.Role, c.Name, c.After)
		}
		for _, p := range c.Probes {
			tests := len(p.Exec)
			for _, is := range []bool{p.HTTP != nil, p.TCP != nil, p.GRPC != nil, p.Image} {
				if is {
					tests++
				}
			}
			timed := p.Interval >= minProbeInterval && p.Timeout > 0 && p.Failures >= 1
			if tests == 0 || !timed && !p.Image || p.Successes < 1 || c.Role == Init && p.Kind == "ready" {
				t.Errorf("probe of %s %q: %+v", c.Role, c.Name, p)
			}
		}
		if c.Resources.Swap != nil && c.Resources.Memory == 0 {
			t.Errorf("swap of %q beside no memory", c.Name)
		}
		for _, m := range c.Mounts {
			if i := slices.IndexFunc(g.Volumes, func(v Volume) bool { return v.Name == m.Volume }); i < 0 || HostPathRefused(g.Volumes[i].HostPath, m.ReadOnly) != "" {
				t.Errorf("%q mounts %+v of %+v", c.Name, m, g.Volumes)
			}
		}
	}
	for _, v := range g.Volumes {
		ephemeral := !v.Persistent && v.HostPath == ""
		if v.Persistent && v.HostPath != "" || v.Size < 0 || ephemeral && v.Size == 0 || v.HostPath != "" && v.Size > 0 || v.HostPath != "" && (v.Owner != "" || v.Mode != 0 || wayOut(v.HostPath) != "") || v.Mode > maxVolumeMode {
			t.Errorf("volume %+v", v)
		}
	}
}

// checkDoorValue checks the ambassador of a group from Parse.
func checkDoorValue(t *testing.T, g Group, c Container) {
	t.Helper()
	for _, bits := range []int64{c.Rate.Out, c.Rate.In} {
		if bits != 0 && (bits < minRate || bits > maxRate) {
			t.Errorf("rate %v", c.Rate)
		}
	}
	if c.Quota != 0 && (c.Quota < minQuota || c.Quota > maxQuota) {
		t.Errorf("quota %d", c.Quota)
	}
	for _, capability := range c.Unsafe.Capabilities {
		if !slices.Contains(unsafeCapabilities, capability) {
			t.Errorf("given up: %s", capability)
		}
	}
	names := g.UpstreamNames()
	if len(slices.Compact(slices.Clone(names))) != len(names) || slices.ContainsFunc(names, func(n string) bool { return !validHost.MatchString(n) }) {
		t.Errorf("names of upstreams %v", names)
	}
	for _, u := range c.Upstreams {
		if c.Intercept == u.Listen || slices.Contains(u.Hosts, "localhost") || slices.Contains(u.Hosts, g.Name) {
			t.Errorf("intercept %d and upstream %+v of group %s", c.Intercept, u, g.Name)
		}
	}
}
