package spec

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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
	whole.Digest, whole.Pos, whole.Variables, whole.Sensitive = "", Pos{}, nil, nil
	g.Digest = digest(whole)
}

// containerDigest returns the digest over everything that can't change while the container runs.
func (g *Group) containerDigest(c Container) string { return digest(g.fixedPart(c)) }

// bounded stands for every bound on disk in the digest of a container: a running one takes another.
// One without a bound may have been made before its filter kept it from changing projects, and what
// it has written isn't counted. So it is replaced to get one.
const bounded = 1

// A fixedPart is everything about a container that can't change while it runs.
type fixedPart struct {
	Container
	Volumes []Volume `json:"volumes,omitempty"`
	DNS     DNS      `json:"dns,omitempty"`
	Servers []string `json:"servers,omitempty"`
	Names   []string `json:"names,omitempty"`
}

func (g *Group) fixedPart(c Container) fixedPart {
	c.Digest = ""
	c.Pull, c.SignedBy = PullMissing, nil
	c.Restart, c.OnFailure, c.Stop, c.Probes, c.After = Restart{}, "", Stop{}, nil, nil
	c.Output.Size, c.Output.Journal = 0, false
	c.Door = c.Door.Fixed()
	c.Resources.Disk = min(c.Resources.Disk, bounded)
	c.Files = fixedFiles(c.Files)
	c.Secrets = fixedUses(c.Secrets)
	fixed := fixedPart{Container: c}
	if c.Role == Ambassador {
		fixed.Servers = g.Network.Servers
	} else {
		fixed.DNS = g.DNS
		fixed.Names = g.UpstreamNames()
	}
	for _, v := range g.mountedBy(c) {
		if v.Persistent {
			v.Size = min(v.Size, bounded)
		}
		fixed.Volumes = append(fixed.Volumes, v)
	}
	return fixed
}

// fileWords are the words of a group file for the JSON names that differ from them.
var fileWords = map[string]string{
	"mounts": "mount", "files": "file", "devices": "device", "volumes": "volume", "servers": "servers of dns",
	"names": "names of upstreams", "upstreams": "upstream", "role": "kind of block", "probes": "probe", "reloads": "reload", "secrets": "secret", "answers": "on_change of secrets",
}

// Changes returns what differs between a container of the group and that of an earlier definition,
// as far as it replaces the container. The words are those of a group file, sorted.
func (g *Group) Changes(before *Group, name string) []string {
	now, was := g.Container(name), before.Container(name)
	if now == nil || was == nil {
		return nil
	}
	return differences(g.fixedPart(*now), before.fixedPart(*was))
}

// LiveChanges returns what differs between a container of the group and that of an earlier
// definition, as far as the container takes it while it runs. The door is left out: its changes are
// those of the group's border. The words are those of a group file, sorted.
func (g *Group) LiveChanges(before *Group, name string) []string {
	now, was := g.Container(name), before.Container(name)
	if now == nil || was == nil {
		return nil
	}
	return differences(g.livePart(*now), before.livePart(*was))
}

// A livePart has everything that a running container takes, without its door.
type livePart struct {
	Container
	Volumes []Volume          `json:"volumes,omitempty"` // with their bounds on disk
	Reloads map[string]string `json:"reloads,omitempty"` // signals, by the path of the file
	Answers []SecretUse       `json:"answers,omitempty"` // to another value of a secret
}

func (g *Group) livePart(c Container) livePart {
	o := c.Output
	o.Split = false
	live := livePart{Container: Container{
		Pull: c.Pull, SignedBy: c.SignedBy, Restart: c.Restart, OnFailure: c.OnFailure, Stop: c.Stop, Probes: c.Probes, After: c.After, Output: o,
		Resources: Resources{Disk: c.Resources.Disk},
	}, Reloads: map[string]string{}}
	for _, f := range c.Files {
		if f.Reload != "" {
			live.Reloads[f.Path] = f.Reload
		}
	}
	for _, u := range c.Secrets {
		live.Answers = append(live.Answers, SecretUse{Name: u.Name, Reload: u.Reload, OnChange: u.OnChange})
	}
	for _, v := range g.mountedBy(c) {
		if v.Persistent {
			live.Volumes = append(live.Volumes, Volume{Name: v.Name, Size: v.Size})
		}
	}
	return live
}

// mountedBy returns the volumes that a container mounts.
func (g *Group) mountedBy(c Container) (all []Volume) {
	for _, v := range g.Volumes {
		if slices.ContainsFunc(c.Mounts, func(m Mount) bool { return m.Volume == v.Name }) {
			all = append(all, v)
		}
	}
	return all
}

// differences returns the words of the fields that differ, sorted.
func differences(now, was any) (words []string) {
	a, b := fieldsOf(now), fieldsOf(was)
	for field := range mergeKeys(a, b) {
		if a[field] != b[field] {
			words = append(words, cmp.Or(fileWords[field], field))
		}
	}
	slices.Sort(words)
	return words
}

// fieldsOf returns the JSON of each field of a value.
func fieldsOf(v any) map[string]string {
	text, err := json.Marshal(v)
	fields := map[string]json.RawMessage{}
	if err = errors.Join(err, json.Unmarshal(text, &fields)); err != nil {
		panic(fmt.Sprintf("spec: encode %T: %v", v, err)) // all types of this package encode
	}
	texts := map[string]string{}
	for name, raw := range fields {
		texts[name] = string(raw)
	}
	return texts
}

func mergeKeys(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
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
