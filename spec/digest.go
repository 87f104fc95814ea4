package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
)

// seal fills in the digests. A field that is added to the value later must be omitted from JSON
// while it is zero. Otherwise the digests of definitions without it change, and an upgrade of the
// daemon replaces every container.
func (g *Group) seal() {
	for i := range g.Containers {
		g.Containers[i].Digest = g.containerDigest(g.Containers[i])
	}
	whole := *g
	whole.Digest, whole.Pos = "", Pos{}
	g.Digest = digest(whole)
}

// containerDigest returns the digest over everything that can't change while the container runs.
func (g *Group) containerDigest(c Container) string {
	c.Digest = ""
	c.Restart, c.OnFailure, c.Stop, c.Probes, c.After = Restart{}, "", Stop{}, nil, nil
	c.Door = c.Door.Fixed()
	fixed := struct {
		Container
		Volumes []Volume `json:"volumes,omitempty"`
		DNS     DNS      `json:"dns,omitempty"`
		Servers []string `json:"servers,omitempty"`
		Names   []string `json:"names,omitempty"`
	}{Container: c}
	if c.Role == Ambassador {
		fixed.Servers = g.Network.Servers
	} else {
		fixed.DNS = g.DNS
		fixed.Names = g.UpstreamNames()
	}
	for _, v := range g.Volumes {
		if slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Volume == v.Name }) {
			fixed.Volumes = append(fixed.Volumes, v)
		}
	}
	return digest(fixed)
}

// digest returns the sha256 of the JSON of a value. Fields are in the order of their declaration,
// maps by key.
func digest(v any) string {
	canonical, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("spec: encode %T: %v", v, err)) // all types of this package encode
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}
