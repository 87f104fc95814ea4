package spec

import (
	"bytes"
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// MaxPlacedFile limits a file block's contents in bytes. They are kept with the group's definition.
const MaxPlacedFile = 1 << 20

const defaultMode = 0o444

// files reads the files that are placed into a container, sorted by path. c is the container so
// far, with its mounts.
func (d *groupDecoder) files(container *hclsyntax.Block, c *Container, taken map[string]hcl.Range) []File {
	var all []File
	blocks := blocksOf(container.Body, "file")
	d.checkReloads(blocks)
	for b := range d.keyed(blocks) {
		r := d.in(b)
		f := File{Mode: d.octal(r, 0o777, "0644"), Owner: d.imageOwner(r)}
		if p, ok := label(b); ok {
			f.Path, _ = d.target("file", p, b.LabelRanges[0], taken)
		}
		switch source, content := r.has("source"), r.has("content"); {
		case source && content:
			d.errorf(r.body.Attributes["content"].NameRange, "Two contents for one file", "A file has either source or content. Keep one of them.")
		case source:
			f.Content = d.source(r)
		case content && mentionsSecret(r.body.Attributes["content"].Expr):
			f.Content, f.Secrets = d.secretContent(r)
		case content:
			if s, _, ok := r.text("content", required); ok {
				f.Content = []byte(s)
			}
		default:
			d.errorf(r.at, "A file without contents", "Name the file to place (source = \"name\", relative to this group file) or write what is in it (content = \"...\").")
		}
		if len(f.Content) > MaxPlacedFile {
			d.errorf(r.at, "File too large", "The file has %d KiB; a placed file has at most %d KiB. Put larger ones into the image.", len(f.Content)>>10, MaxPlacedFile>>10)
		}
		if f.Mode == f.defaultMode() {
			f.Mode = 0
		}
		f.Reload = d.reload(r, c, f.Path)
		f.Seal()
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// source reads the file that a file block names.
func (d *groupDecoder) source(r reader) []byte {
	s, at, ok := r.text("source", required)
	if !ok {
		return nil
	}
	content, _ := d.read(s, at)
	return content
}

// read reads a file that the group file names. ok is false if it can't, which has been reported.
func (d *groupDecoder) read(s string, at hcl.Range) (content []byte, ok bool) {
	name := s
	if !path.IsAbs(name) {
		name = path.Join(d.src.Dir, name)
	}
	name = path.Clean(name)
	for _, kernel := range []string{"/proc", "/sys", "/dev"} {
		if within(name, kernel) {
			d.errorf(at, "Not a plain file", "A file below %s changes with every reading, or has no end. Name a plain file.", kernel)
			return nil, false
		}
	}
	if d.src.ReadFile == nil {
		d.errorf(at, "Can't read a file here", "This group file is read without access to other files, so %s can't be read. Write its contents instead: content = \"...\".", quote(s))
		return nil, false
	}
	content, err := d.src.ReadFile(name)
	switch {
	case isMissing(err):
		d.errorf(at, "No such file", "There is no file %s. A path is relative to the folder of this group file, or absolute.", quote(name))
	case err != nil:
		d.errorf(at, "Can't read a file", "%s: %s.", quote(name), cause(err))
	}
	return bytes.Clone(content), err == nil
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// cause returns the error without its path, which the message has already.
func cause(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// defaultMode returns the permission bits of a file whose block names none.
func (f File) defaultMode() uint32 {
	if len(f.Secrets) > 0 {
		return DefaultSecretMode
	}
	return defaultMode
}

// Permissions returns the permission bits, with the default filled in.
func (f File) Permissions() uint32 { return cmp.Or(f.Mode, f.defaultMode()) }

// octal reads permission bits. They have to be a text, because HCL takes a number for decimal.
func (d *groupDecoder) octal(r reader, most uint64, example string) uint32 {
	attr := r.body.Attributes["mode"]
	if attr == nil {
		return 0
	}
	if l, ok := unwrap(attr.Expr).(*hclsyntax.LiteralValueExpr); ok && !l.Val.IsNull() {
		d.errorf(attr.Expr.Range(), "Invalid mode", "A mode is a text of octal digits, in quotes: %q. Without them it is a decimal number.", example)
		return 0
	}
	s, at, ok := r.text("mode", optional)
	if !ok {
		return 0
	}
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || len(s) > 4 || mode > most || mode == 0 {
		d.errorf(at, "Invalid mode", "%s is no mode. Write three or four octal digits: %q.", quote(s), example)
		return 0
	}
	return uint32(mode)
}
