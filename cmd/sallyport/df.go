package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type dfVerb struct {
	Group string `arg:"" optional:"" help:"Show the containers, volumes and images of one group."`
	JSON  bool   `name:"json" help:"Print JSON."`
}

func (v *dfVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	usage, err := client.Usage(ctx)
	if err != nil {
		return err
	}
	if v.Group != "" {
		// What a removed group has left is shown, too.
		if usage = usageOf(usage, v.Group); len(usage.Consumers) == 0 {
			if _, err := client.Status(ctx, v.Group); err != nil {
				return err
			}
		}
	}
	if v.JSON {
		return ui.json(usage)
	}
	for _, why := range usage.Unknown {
		ui.notef("warning: not counted: %s", why)
	}
	if err := writeUsage(ui.out, usage, v.Group, ui.again.text); err != nil {
		return err
	}
	if v.Group == "" && usage.Images.CanFree > 0 {
		ui.notef("note: %s", unusedText(usage.Images))
	}
	if slices.ContainsFunc(usage.Consumers, func(c host.Consumer) bool { return c.Partial }) {
		ui.notef("note: + is at least so much: there were too many files to count in time")
	}
	return nil
}

// usageOf returns the usage without what belongs to other groups.
func usageOf(u host.Usage, group string) host.Usage {
	u.Consumers = slices.DeleteFunc(slices.Clone(u.Consumers), func(c host.Consumer) bool { return c.Group != group })
	u.Images.All = slices.DeleteFunc(slices.Clone(u.Images.All), func(i host.ImageUsage) bool { return !slices.Contains(i.Groups, group) })
	return u
}

// writeUsage writes the tables of the whole instance, or those of a group. retype completes the
// commands in a text.
func writeUsage(w io.Writer, u host.Usage, group string, retype func(string) string) error {
	tables := []table{usedOfDisks(u), usedByKinds(u), usedByGroups(u, retype), usedByImages(u.Images)}
	if group != "" {
		tables = []table{usedByContainers(u), usedByVolumes(u), usedByImages(u.Images)}
	}
	first := true
	for _, t := range tables {
		if len(t.rows) == 0 {
			continue
		}
		if !first {
			fmt.Fprintln(w)
		}
		first = false
		if err := t.writeTo(w); err != nil {
			return err
		}
	}
	return nil
}

func usedOfDisks(u host.Usage) table {
	t := table{
		header: []string{"DISK", "SIZE", "FREE", "SALLYPORT"},
		cut:    map[string]cutter{"DISK": cutHead},
	}
	for _, d := range u.Disks {
		t.add(d.Path, bytesText(d.Size), bytesText(d.Free), bytesText(d.Taken))
	}
	return t
}

// An amount is a sum of sizes.
type amount struct {
	bytes   uint64
	partial bool
}

func (a *amount) add(c host.Consumer) {
	a.bytes += c.Bytes
	a.partial = a.partial || c.Partial
}

func (a amount) String() string {
	text := bytesText(a.bytes)
	if a.partial {
		text += "+"
	}
	return text
}

func bytesText(bytes uint64) string { return spec.FormatSize(int64(bytes)) }

// plurals are the rows of the kinds. A kind of a later daemon has its own name.
var plurals = map[host.ConsumerKind]string{
	host.LayerConsumer: "layers", host.VolumeConsumer: "volumes", host.OutputConsumer: "output",
}

const removedOutput = "removed"

func usedByKinds(u host.Usage) table {
	sums := map[string]*amount{"images": {bytes: u.Images.Shared + u.Images.Other}}
	for _, i := range u.Images.All {
		sums["images"].bytes += i.Own
	}
	for _, c := range u.Consumers {
		kind := cmp.Or(plurals[c.Kind], string(c.Kind))
		if c.Kind == host.OutputConsumer && c.Removed {
			kind = removedOutput
		}
		if sums[kind] == nil {
			sums[kind] = &amount{}
		}
		sums[kind].add(c)
	}
	t := table{header: []string{"KIND", "SIZE"}}
	for _, kind := range largestFirst(sums, func(a *amount) uint64 { return a.bytes }) {
		t.add(kind, sums[kind].String())
	}
	return t
}

// largestFirst returns the keys by size, and by name where sizes are equal.
func largestFirst[T any](of map[string]T, size func(T) uint64) []string {
	return slices.SortedFunc(maps.Keys(of), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(of[b]), size(of[a])), cmp.Compare(a, b))
	})
}

// A sum has the sizes of a group or a container. total leaves memory out.
type sum struct {
	total, layers, output, volumes, memory amount
	removed                                bool
	image                                  string // of a container: the digest
}

// sums adds what has the same name.
func sums(all []host.Consumer, nameOf func(host.Consumer) string) map[string]*sum {
	found := map[string]*sum{}
	for _, c := range all {
		name := nameOf(c)
		if name == "" {
			continue
		}
		s := found[name]
		if s == nil {
			s = &sum{removed: true}
			found[name] = s
		}
		s.removed = s.removed && c.Removed
		s.image = cmp.Or(s.image, c.Image)
		switch c.Kind {
		case host.MemoryConsumer:
			s.memory.add(c)
			continue
		case host.LayerConsumer:
			s.layers.add(c)
		case host.OutputConsumer:
			s.output.add(c)
		case host.VolumeConsumer:
			s.volumes.add(c)
		}
		s.total.add(c)
	}
	return found
}

func usedByGroups(u host.Usage, retype func(string) string) table {
	t := table{
		header: []string{"GROUP", "TOTAL", "LAYERS", "OUTPUT", "VOLUMES", "MEMORY"},
		least:  []string{"MEMORY", "LAYERS", "OUTPUT", "VOLUMES"},
	}
	groups := sums(u.Consumers, func(c host.Consumer) string { return c.Group })
	for _, name := range largestFirst(groups, func(s *sum) uint64 { return s.total.bytes }) {
		s := groups[name]
		r := t.add(name, s.total.String(), s.layers.String(), s.output.String(), s.volumes.String(), s.memory.String())
		switch {
		case s.removed && s.volumes.bytes > 0:
			r.notes = []string{retype(fmt.Sprintf("it is removed; \"sallyport rm --volumes %s\" deletes its volumes", name))}
		case s.removed:
			r.notes = []string{"it is removed"}
		}
	}
	return t
}

func usedByContainers(u host.Usage) table {
	t := table{
		header: []string{"CONTAINER", "TOTAL", "LAYER", "OUTPUT", "IMAGE"},
		least:  []string{"LAYER", "OUTPUT", "IMAGE"},
		cut:    map[string]cutter{"IMAGE": cutHead},
	}
	containers := sums(u.Consumers, func(c host.Consumer) string {
		if c.Kind == host.OutputConsumer && c.Container == "" {
			return "(" + removedOutput + ")"
		}
		return c.Container
	})
	for _, name := range largestFirst(containers, func(s *sum) uint64 { return s.total.bytes }) {
		s := containers[name]
		t.add(name, s.total.String(), s.layers.String(), s.output.String(), imageName(u.Images, s.image))
	}
	return t
}

func usedByVolumes(u host.Usage) table {
	t := table{
		header: []string{"VOLUME", "SIZE", "FILES", "KIND"},
		least:  []string{"FILES", "KIND"},
	}
	for _, c := range u.Consumers {
		kind := map[host.ConsumerKind]string{host.VolumeConsumer: "persistent", host.MemoryConsumer: "memory"}[c.Kind]
		if kind == "" {
			continue
		}
		var size amount
		size.add(c)
		t.add(c.Volume, size.String(), fmt.Sprint(c.Inodes), kind)
	}
	return t
}

// imageName returns a name of the image, or its digest.
func imageName(images host.Images, digest string) string {
	i := slices.IndexFunc(images.All, func(i host.ImageUsage) bool { return i.Digest == digest })
	if i < 0 || len(images.All[i].Names) == 0 {
		return spec.ShortDigest(digest)
	}
	return images.All[i].Names[0]
}

func usedByImages(images host.Images) table {
	t := table{
		header: []string{"IMAGE", "OWN", "SHARED", "GROUPS"},
		least:  []string{"SHARED", "GROUPS"},
		cut:    map[string]cutter{"IMAGE": cutHead, "GROUPS": cutItems},
	}
	for _, i := range images.All {
		r := t.add(imageName(images, i.Digest), bytesText(i.Own), bytesText(i.Common), strings.Join(i.Groups, ","))
		if i.Removable() && len(i.Names) > 0 && images.Remove != "" {
			command := images.Remove
			for _, name := range i.Names {
				command += " " + shellWord(name)
			}
			r.notes = []string{"no group uses it; to delete it: " + command}
		} else if i.Kept != "" {
			r.notes = []string{"no group uses it, and it stays: " + i.Kept}
		}
	}
	return t
}
