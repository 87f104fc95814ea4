package hosttest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// Noon is the time at which tests of pure code take place.
var Noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Checkout returns a group with an app, a sidecar, an ambassador and a volume. edits change it
// before it gets its digests.
func Checkout(edits ...func(*spec.Group)) *spec.Group {
	g := &spec.Group{
		Name: "checkout", Egress: spec.EgressAmbassador,
		Containers: []spec.Container{
			{
				Name: "proxy", Role: spec.Ambassador, Image: "haproxy:2", Stop: Grace(10),
				Door: spec.Door{Publish: []spec.Publish{{Name: "http", Host: 8443, Port: 443, Protocol: "tcp"}}},
			},
			{Name: "shipper", Role: spec.Sidecar, Image: "shipper:3", Stop: Grace(10), Mounts: []spec.Mount{{Volume: "logs", Path: "/logs", ReadOnly: true}}},
			{Name: "web", Role: spec.App, Image: "web:1", Stop: Grace(10), Mounts: []spec.Mount{{Volume: "logs", Path: "/var/log"}}},
		},
		Volumes: []spec.Volume{{Name: "logs", Size: 64 << 20}},
	}
	for _, edit := range edits {
		edit(g)
	}
	return Digested(g)
}

// Sealed returns a group of one app that reaches nothing. edits change it before it gets its
// digests.
func Sealed(edits ...func(*spec.Group)) *spec.Group {
	g := &spec.Group{Name: "sealed", Egress: spec.EgressNone, Containers: []spec.Container{
		{Name: "web", Role: spec.App, Image: "web:1", Stop: Grace(10)},
	}}
	for _, edit := range edits {
		edit(g)
	}
	return Digested(g)
}

// Grace returns a stop with that grace period.
func Grace(seconds int) spec.Stop {
	return spec.Stop{Timeout: time.Duration(seconds) * time.Second}
}

// EditContainer returns an edit of one container.
func EditContainer(name string, do func(*spec.Container)) func(*spec.Group) {
	return func(g *spec.Group) { do(g.Container(name)) }
}

// Command returns an edit of a container's command.
func Command(args ...string) func(*spec.Container) {
	return func(c *spec.Container) { c.Command = args }
}

// Placed returns an edit of a container's files: path, content and signal of each. The signal is
// empty for a file without a reload.
func Placed(texts ...string) func(*spec.Container) {
	return func(c *spec.Container) {
		c.Files = nil
		for f := range slices.Chunk(texts, 3) {
			c.Files = append(c.Files, spec.File{Path: f[0], Content: []byte(f[1]), Reload: f[2]})
		}
	}
}

// Policy returns an edit of a container's restart policy.
func Policy(p spec.RestartPolicy) func(*spec.Container) {
	return func(c *spec.Container) { c.Restart.Policy = p }
}

// Allow returns an edit of what the container proxy may reach.
func Allow(a ...spec.Allow) func(*spec.Group) {
	return EditContainer("proxy", func(c *spec.Container) { c.Allow = a })
}

// EveryDoor sets everything that acts on the ambassador's door: limits, interception, unsafe
// capabilities, DNS.
func EveryDoor(g *spec.Group) {
	EveryLimit(g)
	a := g.Container("proxy")
	a.Intercept, a.Unsafe.Capabilities = 15001, []string{"NET_ADMIN", "NET_RAW"}
	g.DNS, g.Network.Servers = spec.DNSAmbassador, []string{"192.0.2.53"}
}

// EveryLimit sets all limits of the ambassador's door.
func EveryLimit(g *spec.Group) {
	a := g.Container("proxy")
	a.Rate, a.Quota = spec.Rate{Out: 2_000_000, In: 10_000_000}, 5<<30
}

// FullDoor gives the ambassador everything that a door can have.
func FullDoor(g *spec.Group) {
	EveryDoor(g)
	a := g.Container("proxy")
	a.Upstreams = []spec.Upstream{{Name: "api", Listen: 9001}}
	a.Allow = []spec.Allow{{Prefix: "203.0.113.0/24", Port: 443, Protocol: "tcp"}}
	a.PingGroups = "0 2147483647"
}

// Without returns an edit that drops a container.
func Without(name string) func(*spec.Group) {
	return func(g *spec.Group) {
		g.Containers = slices.DeleteFunc(g.Containers, func(c spec.Container) bool { return c.Name == name })
	}
}

// AddApp returns an edit that adds an app. seconds is its grace period.
func AddApp(name string, seconds int) func(*spec.Group) {
	return func(g *spec.Group) {
		g.Containers = append(g.Containers, spec.Container{Name: name, Role: spec.App, Image: "web:1", Stop: Grace(seconds)})
	}
}

// Egress returns an edit of how a group reaches the world.
func Egress(e spec.Egress) func(*spec.Group) { return func(g *spec.Group) { g.Egress = e } }

// Digested fills in the digests as the decoder of group files does, and returns g. The digests
// differ from the decoder's, but change with the same attributes.
func Digested(g *spec.Group) *spec.Group {
	for i := range g.Containers {
		c := &g.Containers[i]
		fixed := *c
		fixed.Restart, fixed.Stop, fixed.Door, fixed.Digest = spec.Restart{}, spec.Stop{}, c.Door.Fixed(), ""
		fixed.Pull = spec.PullMissing
		fixed.OnFailure, fixed.Probes, fixed.After = "", nil, nil
		fixed.Output.Size, fixed.Output.Journal = 0, false
		fixed.Files = slices.Clone(c.Files)
		for i := range c.Files {
			if c.Files[i].Seal(); c.Files[i].Reload != "" {
				fixed.Files[i].Content, fixed.Files[i].Sum, fixed.Files[i].Reload = nil, "", "any"
			}
		}
		var mounted []spec.Volume
		for _, v := range g.Volumes {
			if slices.ContainsFunc(c.Mounts, func(m spec.Mount) bool { return m.Volume == v.Name }) {
				mounted = append(mounted, v)
			}
		}
		c.Digest = digest(fixed, mounted)
	}
	g.Digest = ""
	g.Digest = digest(g)
	return g
}

func digest(v ...any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}
