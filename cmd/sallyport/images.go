package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

type imagesVerb struct {
	Action string   `arg:"" optional:"" enum:"ls,pull,load,rm,prune" default:"ls" help:"ls lists the images and who uses them. pull asks a registry for images. load takes them from archives. rm removes the named ones. prune removes those that no group uses (default ls)."`
	What   []string `arg:"" optional:"" name:"image|file" help:"For pull and rm: images. For load: archives of docker save, OCI archives or folders; - is standard input, and FILE:NAME one image of several."`
	Name   string   `placeholder:"NAME" help:"With load: the name for the only image, such as app:1. Default: the names in the archive."`
	DryRun bool     `help:"With prune: show what would be removed, and remove nothing."`
	ByHand bool     `help:"With prune: remove also what others have brought to the host and no group has used yet."`
	JSON   bool     `name:"json" help:"Print JSON."`
}

// check refuses arguments that are another action's.
func (v *imagesVerb) check() error {
	advice := `run "sallyport images --help"`
	switch {
	case v.Action != "prune" && (v.DryRun || v.ByHand):
		return usage(fmt.Errorf("--dry-run and --by-hand are for prune"), advice)
	case v.Action != "load" && v.Name != "":
		return usage(fmt.Errorf("--name is for load"), advice)
	case (v.Action == "ls" || v.Action == "prune") && len(v.What) > 0:
		return usage(fmt.Errorf("%s takes no images", v.Action), advice)
	case v.Action == "load" && len(v.What) == 0:
		return usage(fmt.Errorf("load takes archives"), "name one, or - for standard input")
	case v.Action != "ls" && v.Action != "prune" && len(v.What) == 0:
		return usage(fmt.Errorf("%s takes images", v.Action), `"sallyport images" lists them`)
	case v.Name != "" && len(v.What) > 1:
		return usage(fmt.Errorf("--name names one image, and there are %d archives", len(v.What)), "give each archive to a command of its own")
	}
	return nil
}

func (v *imagesVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	if err := v.check(); err != nil {
		return err
	}
	client, err := in.client(ctx)
	if err != nil {
		return err
	}
	switch v.Action {
	case "pull":
		return v.pull(ctx, ui, client)
	case "load":
		return v.load(ctx, ui, client)
	case "rm":
		return v.remove(ui, "removed", func(each func(host.ImageRemoval)) error { return client.RemoveImages(ctx, v.What, each) })
	case "prune":
		done := "removed"
		if v.DryRun {
			done = "would remove"
		}
		return v.remove(ui, done, func(each func(host.ImageRemoval)) error {
			return client.PruneImages(ctx, api.PruneRequest{DryRun: v.DryRun, ByHand: v.ByHand}, each)
		})
	}
	found, err := client.Images(ctx)
	if err != nil {
		return err
	}
	if v.JSON {
		return ui.json(found)
	}
	return writeImages(ui.out, found)
}

func writeImages(w io.Writer, found host.Images) error {
	t := table{
		header: []string{"IMAGE", "DIGEST", "SIZE", "OWN", "UNUSED SINCE", "GROUPS"},
		least:  []string{"OWN", "UNUSED SINCE", "GROUPS", "DIGEST"},
		cut:    map[string]cutter{"IMAGE": cutHead, "GROUPS": cutItems},
	}
	for _, i := range found.All {
		since := ""
		if !i.Unused.IsZero() {
			since = i.Unused.Local().Format(time.DateTime)
		}
		r := t.add(imageName(found, i.Digest), spec.ShortDigest(i.Digest), bytesText(i.Own+i.Common), bytesText(i.Own), since, strings.Join(i.Groups, ","))
		if i.Kept != "" {
			r.notes = []string{"it stays: " + i.Kept}
		}
		if len(i.SignedBy) > 0 {
			r.notes = append(r.notes, "signed with the key "+keysText(i.SignedBy))
		}
	}
	return t.writeTo(w)
}

// keysText returns the beginnings of keys' fingerprints.
func keysText(fingerprints []string) string {
	var short []string
	for _, f := range fingerprints {
		short = append(short, f[:min(len(f), len("sha256:")+12)])
	}
	return strings.Join(short, ", ")
}

// remove prints each image when it is removed.
func (v *imagesVerb) remove(ui *ui, done string, remove func(each func(host.ImageRemoval)) error) error {
	removals := []host.ImageRemoval{}
	var freed uint64
	err := remove(func(r host.ImageRemoval) {
		removals = append(removals, r)
		freed += r.Frees
		if !v.JSON {
			ui.sayf("%s %s", done, removalText(r))
		}
	})
	if v.JSON {
		if failed := ui.json(removals); err == nil {
			err = failed
		}
		return err
	}
	if err == nil {
		ui.sayf("%s %s, which frees %s", done, plural(len(removals), "image"), bytesText(freed))
	}
	return err
}

func removalText(r host.ImageRemoval) string {
	name := r.Digest
	if len(r.Names) > 0 {
		name = r.Names[0]
	}
	return fmt.Sprintf("%s (%s)", name, bytesText(r.Frees))
}

// unusedText describes how much can be freed of images that no group uses.
func unusedText(images host.Images) string {
	n := 0
	for _, i := range images.All {
		if i.Removable() {
			n++
		}
	}
	return fmt.Sprintf("no group uses %s: \"sallyport images prune\" frees %s", plural(n, "image"), bytesText(images.CanFree))
}

// imageResults has a line of doctor for images that no group uses. It asks the daemon, which knows
// what the groups name. Without one, which has a line of its own, there is none.
func imageResults(ctx context.Context, in *instance) []result {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	client, err := in.client(ctx)
	if err != nil {
		return nil
	}
	unknown := func(err error) []result {
		return []result{{Name: "images", OK: true, Note: true, Found: "not known: " + err.Error(), Hint: hintOf(err)}}
	}
	found, err := client.Images(ctx)
	if err != nil {
		return unknown(err)
	}
	conf, err := client.Configuration(ctx)
	if err != nil {
		return unknown(err)
	}
	return []result{imagesFound(found, limitsOf(conf))}
}

// limitsOf returns the settings that limit images, or "".
func limitsOf(conf api.Configuration) string {
	var texts []string
	for _, s := range conf.Settings {
		if strings.HasPrefix(s.Name, "images.") && s.Value != "never" && s.Value != "unlimited" && s.Value != "0" {
			texts = append(texts, fmt.Sprintf("%s = %q", s.Name, s.Value))
		}
	}
	return strings.Join(texts, ", ")
}

func imagesFound(found host.Images, limits string) result {
	r := result{Name: "images", OK: true}
	switch {
	case found.CanFree == 0:
		r.Found = "each is used by a group or kept"
	case limits != "":
		r.Found = fmt.Sprintf("%s can be freed; the daemon removes them by %s", bytesText(found.CanFree), limits)
	default:
		r.Note, r.Found = true, unusedText(found)
		r.Hint = "the daemon does it by itself with limits in sallyport.hcl: images { unused = \"30d\" }"
	}
	return r
}
