package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/lockfile"
	"github.com/sallyport/sallyport/spec"
)

// A folderLock is the lock file of one folder with group files.
type folderLock struct {
	path   string // as it is shown
	folder string // absolute
	file   lockfile.File
	there  bool
	src    []byte
}

// readLock reads the lock file beside a group file, whose path is as it is shown.
func readLock(ctx context.Context, shown, folder string) (l folderLock, diags hcl.Diagnostics, err error) {
	dir := filepath.Dir(shown)
	if shown == stdinName {
		dir = "."
	}
	l = folderLock{path: filepath.Join(dir, lockfile.Name), folder: folder}
	l.src, err = hostfile.Read(ctx, dir, l.path, lockfile.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return l, nil, nil
	}
	if err != nil {
		return l, nil, usage(err, "")
	}
	l.there = true
	l.file, diags = lockfile.Parse(l.path, l.src)
	return l, diags, nil
}

// useLocks gives each file the digests of the lock file beside it. Without --locked, an image that
// a lock file lacks is noted, and resolved as ever. With it, it is a mistake in the group file.
func (a *groupArgs) useLocks(ctx context.Context, paths []string, r *reading, contents map[string][]byte) (diags hcl.Diagnostics, notes []string, err error) {
	locks := map[string]folderLock{}
	for i, path := range paths {
		b := &r.bundles[i]
		folder := filepath.Dir(b.Path)
		l, known := locks[folder]
		if !known {
			var found hcl.Diagnostics
			if l, found, err = readLock(ctx, path, folder); err != nil {
				return nil, nil, err
			}
			if l.there {
				contents[l.path] = l.src
			}
			locks[folder], diags = l, append(diags, found...)
			if a.Locked && !l.there {
				return nil, nil, usage(fmt.Errorf("--locked: there is no %s", l.path), "write it: sallyport lock "+filepath.Dir(l.path))
			}
		}
		if !l.there {
			continue
		}
		missing, have := map[string]bool{}, l.file.Of(folder)
		r.eachImage(path, func(g *spec.Group, c *spec.Container) {
			switch digest := have[c.Image]; {
			case digest != "":
				b.Locked = set(b.Locked, c.Image, digest)
			case !lockfile.Needs(c.Image) || missing[c.Image]:
			case a.Locked:
				missing[c.Image] = true
				diags = append(diags, imageMistake(path, contents[path], g, c, "Image without a digest in the lock file",
					"%s has no digest of %q. Type: sallyport lock %s", l.path, lockfile.Key(folder, c.Image), lockArg(path)))
			default:
				missing[c.Image] = true
				notes = append(notes, fmt.Sprintf("%s has no digest of %s; \"sallyport lock %s\" adds it", l.path, lockfile.Key(folder, c.Image), lockArg(path)))
			}
		})
	}
	return diags, notes, nil
}

// lockArg returns the argument of lock for a group file: the folder, of one from standard input.
func lockArg(path string) string {
	if path == stdinName {
		return "."
	}
	return path
}

// eachImage calls do with each container of the groups of a file.
func (r *reading) eachImage(path string, do func(g *spec.Group, c *spec.Container)) {
	for i := range r.groups {
		for j := range r.groups[i].Containers {
			if r.groups[i].Pos.File == path {
				do(&r.groups[i], &r.groups[i].Containers[j])
			}
		}
	}
}

// checkArchives compares the archives with the digests that a lock file has of them. It prints the
// mistakes. The error then only carries the exit status. An archive that is gone is left to the
// daemon, which may have its image.
func (r *reading) checkArchives(ctx context.Context, ui *ui, client *api.Client) error {
	var diags hcl.Diagnostics
	for _, b := range r.bundles {
		for _, ref := range slices.Sorted(maps.Keys(b.Locked)) {
			if !lockfile.IsArchive(ref) {
				continue
			}
			now, err := client.CurrentDigest(ctx, ref)
			if ctx.Err() != nil {
				return interrupted(ctx, err, "nothing has changed")
			}
			if err != nil || now == b.Locked[ref] {
				continue
			}
			for path := range r.contents {
				found := false
				r.eachImage(path, func(g *spec.Group, c *spec.Container) {
					if abs, _ := filepath.Abs(path); abs == b.Path && c.Image == ref && !found {
						found = true
						diags = append(diags, imageMistake(path, r.contents[path], g, c, "Another image than that of the lock file",
							"The archive has %s, and %s pins %s. Put back the archive, or, if the new image is meant, type: sallyport lock --update %s",
							spec.ShortDigest(now), lockfile.Name, spec.ShortDigest(b.Locked[ref]), lockArg(path)))
					}
				})
			}
		}
	}
	if err := ui.diagnose(r.contents, diags, diags); err != nil {
		return err
	}
	if diags.HasErrors() {
		return exitStatus(statusUsage)
	}
	return nil
}

// imageMistake returns a mistake at the line `image` of a container, or at its group where the line
// is not found.
func imageMistake(path string, src []byte, g *spec.Group, c *spec.Container, summary, format string, args ...any) *hcl.Diagnostic {
	place := hcl.Pos{Line: g.Pos.Line, Column: g.Pos.Column}
	at := hcl.Range{Filename: path, Start: place, End: place}
	if f, diags := hclsyntax.ParseConfig(src, path, hcl.InitialPos); !diags.HasErrors() {
		for _, group := range f.Body.(*hclsyntax.Body).Blocks {
			if group.TypeRange.Start.Line != g.Pos.Line {
				continue
			}
			for _, b := range group.Body.Blocks {
				if image := b.Body.Attributes["image"]; image != nil && len(b.Labels) > 0 && b.Labels[0] == c.Name {
					at = image.Expr.Range()
				}
			}
		}
	}
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: fmt.Sprintf(format, args...), Subject: &at}
}
