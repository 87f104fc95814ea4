package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/hashicorp/hcl/v2"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/lockfile"
	"github.com/sallyport/sallyport/spec"
)

type lockVerb struct {
	What     []string          `arg:"" optional:"" name:"file|image" help:"Group files, or folders with group files (default the current folder). With --update, also images: only they are asked for again."`
	Update   bool              `help:"Ask again what the images mean, also those that have a digest."`
	Check    bool              `help:"Change nothing. Exit with 1 if an image has no digest, or if one is left over. Without --update, it needs no daemon."`
	Var      map[string]string `placeholder:"NAME=VALUE" mapsep:"none" help:"Set a variable, as apply does. Can be repeated."`
	VarFiles []string          `name:"var-file" placeholder:"FILE" sep:"none" help:"Set the variables that a file has, as apply does. Can be repeated."`
	Keep     bool              `help:"Keep the digests of images that no file names, such as those of other values of variables."`
	JSON     bool              `name:"json" help:"Print JSON."`
}

// A lockedFile is a lock file with what lock has changed in it, or would change.
type lockedFile struct {
	File    string       `json:"file"`
	Images  int          `json:"images"`            // how many it has
	Changes []lockChange `json:"changes,omitempty"` // sorted by image
}

// A lockChange is one line of a lock file.
type lockChange struct {
	Image  string `json:"image"`
	Before string `json:"before,omitempty"` // empty: it is new
	Now    string `json:"now,omitempty"`    // empty: it is removed, or, with --check, not asked for
}

func (v *lockVerb) Run(ctx context.Context, ui *ui, in *instance) error {
	files, images := v.arguments(ctx)
	args := groupArgs{Paths: files, Var: v.Var, VarFiles: v.VarFiles, unlocked: true}
	r, err := args.read(ctx, ui, mostMistakes)
	if err != nil {
		return err
	}
	locks, err := v.locks(ctx, ui, r)
	if err != nil {
		return err
	}
	if err := v.checkImages(locks, images); err != nil {
		return err
	}
	var client *api.Client
	if !v.Check || v.Update {
		if client, err = in.client(ctx); err != nil {
			return err
		}
	}
	all, differs := []lockedFile{}, false
	for _, l := range locks {
		done, err := v.lock(ctx, ui, client, l, images)
		if err != nil {
			return err
		}
		all, differs = append(all, done), differs || len(done.Changes) > 0
		if !v.JSON {
			v.print(ui, done)
		}
	}
	if v.JSON {
		if err := ui.json(all); err != nil {
			return err
		}
	}
	if v.Check && differs {
		return exitStatus(statusFailed)
	}
	return nil
}

// arguments splits the arguments into files and images. What is at a path is a file.
func (v *lockVerb) arguments(ctx context.Context) (files, images []string) {
	for _, what := range v.What {
		if _, err := hostfile.Stat(ctx, what); err != nil && v.Update && strings.ContainsAny(what, ":/") && !isFile(what) {
			images = append(images, what)
			continue
		}
		files = append(files, what)
	}
	if len(files) == 0 {
		files = []string{"."}
	}
	return files, images
}

// A toLock is a lock file, and the images of the group files beside it.
type toLock struct {
	folderLock
	refs  map[string]string // by key
	whole bool              // all group files of the folder were read
}

// locks returns the lock files of the group files that were read, one for each folder.
func (v *lockVerb) locks(ctx context.Context, ui *ui, r reading) (all []*toLock, err error) {
	by, read := map[string]*toLock{}, map[string]int{}
	var diags hcl.Diagnostics
	for i, b := range r.bundles {
		folder, path := filepath.Dir(b.Path), r.paths[i]
		if path == stdinName {
			return nil, usage(fmt.Errorf("lock takes no group file from standard input"), "a lock file is beside its group files: write the file first")
		}
		l := by[folder]
		if l == nil {
			l = &toLock{refs: map[string]string{}}
			var found hcl.Diagnostics
			if l.folderLock, found, err = readLock(ctx, path, folder); err != nil {
				return nil, err
			}
			by[folder], all, diags = l, append(all, l), append(diags, found...)
			if l.there {
				r.contents[l.path] = l.src
			}
		}
		read[folder]++
		r.eachImage(path, func(_ *spec.Group, c *spec.Container) {
			if lockfile.Needs(c.Image) {
				l.refs[lockfile.Key(folder, c.Image)] = c.Image
			}
		})
	}
	for _, l := range all {
		there, err := filesIn(ctx, l.folder, spec.IsGroupFile)
		if err != nil {
			return nil, usage(err, "")
		}
		l.whole = len(there) == read[l.folder]
	}
	if err := ui.diagnose(r.contents, diags, diags); err != nil {
		return nil, err
	}
	if diags.HasErrors() {
		return nil, exitStatus(statusUsage)
	}
	slices.SortFunc(all, func(a, b *toLock) int { return cmp.Compare(a.path, b.path) })
	return all, nil
}

// checkImages refuses an image that no group file names.
func (v *lockVerb) checkImages(locks []*toLock, images []string) error {
	for _, image := range images {
		if !slices.ContainsFunc(locks, func(l *toLock) bool { return l.refs[image] != "" }) {
			var known []string
			for _, l := range locks {
				known = append(known, slices.Sorted(maps.Keys(l.refs))...)
			}
			return usage(fmt.Errorf("no group file names the image %s", image), "they name: "+strings.Join(known, ", "))
		}
	}
	return nil
}

// lock brings one lock file up to date. With --check it writes nothing.
func (v *lockVerb) lock(ctx context.Context, ui *ui, client *api.Client, l *toLock, images []string) (lockedFile, error) {
	next := lockfile.File{Images: map[string]lockfile.Entry{}}
	done := lockedFile{File: l.path}
	for key, entry := range l.file.Images {
		if l.refs[key] != "" || !l.whole || v.Keep {
			next.Images[key] = entry
		} else {
			done.Changes = append(done.Changes, lockChange{Image: key, Before: entry.Digest})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(l.refs)) {
		before := next.Images[key].Digest
		again := v.Update && (len(images) == 0 || slices.Contains(images, key))
		if before != "" && !again {
			continue
		}
		now := ""
		if client != nil {
			progress := ui.wait("for the registry of " + key)
			var err error
			now, err = client.CurrentDigest(ctx, l.refs[key])
			if progress.end(); err != nil {
				return done, interrupted(ctx, err, "the lock file is as it was")
			}
			next.Images[key] = lockfile.Entry{Digest: now}
		}
		if now != before || now == "" {
			done.Changes = append(done.Changes, lockChange{key, before, now})
		}
	}
	slices.SortFunc(done.Changes, func(a, b lockChange) int { return cmp.Compare(a.Image, b.Image) })
	if done.Images = len(next.Images); v.Check {
		return done, nil
	}
	text := next.Bytes()
	if bytes.Equal(text, l.src) || len(next.Images) == 0 && !l.there {
		return done, nil
	}
	return done, writeLock(l.path, text)
}

// writeLock puts the text in the place of the lock file, all at once. A link to it stays a link.
func writeLock(path string, text []byte) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := renameio.WriteFile(path, text, mode, renameio.IgnoreUmask(), renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (v *lockVerb) print(ui *ui, done lockedFile) {
	for _, c := range done.Changes {
		before, now := spec.ShortDigest(c.Before), spec.ShortDigest(c.Now)
		switch {
		case c.Before == "" && c.Now == "":
			ui.sayf("+ %s: has no digest", c.Image)
		case c.Before == "":
			ui.sayf("+ %s: %s", c.Image, now)
		case c.Now == "":
			ui.sayf("- %s: no group file names it", c.Image)
		default:
			ui.sayf("~ %s: %s, and was %s", c.Image, now, before)
		}
	}
	switch {
	case v.Check && len(done.Changes) > 0:
		ui.sayf("%s is not up to date", done.File)
	case len(done.Changes) == 0:
		ui.sayf("%s is up to date (%s)", done.File, plural(done.Images, "image"))
	default:
		ui.sayf("%s has %s", done.File, plural(done.Images, "image"))
	}
}
