package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// Compare returns what differs between two generations of a group. now 0 is the newest one, and
// before 0 the one before now. Sensitive values are hidden: those of the two generations, and those
// of the definition that is wanted.
func (k *Keeper) Compare(ctx context.Context, name string, before, now int) (group.Comparison, error) {
	p, err := k.pair(ctx, name, before, now)
	if err != nil {
		return group.Comparison{}, err
	}
	parts := spec.SensitiveParts(p.was.Bundle.HCL)
	maps.Copy(parts, spec.SensitiveParts(p.is.Bundle.HCL))
	maps.Copy(parts, p.sensitive)
	for _, g := range []*spec.Group{&p.was.Group, &p.is.Group, p.wanted} {
		for _, part := range g.Sensitive {
			parts[g.Name+"."+part] = true
		}
	}
	c := group.Comparison{Group: name, Before: p.before, Now: p.now, Images: p.moved, Texts: p.textDiffs(parts)}
	changes := diff.Groups(&p.was.Group, &p.is.Group)
	c.Differs = append([]diff.Change{}, diff.Hide(changes, parts, &p.was.Group, &p.is.Group, p.wanted)...)
	return c, nil
}

// A pair is two generations of a group that are compared.
type pair struct {
	before, now int
	was, is     group.Definition
	moved       []group.MovedImage
	wanted      *spec.Group     // it may have more that is sensitive
	sensitive   map[string]bool // by its file
}

func (k *Keeper) pair(ctx context.Context, name string, before, now int) (p pair, err error) {
	release, err := k.lockKnown(ctx)
	if err != nil {
		return p, err
	}
	defer release()
	if _, err := k.Status(name); err != nil {
		return p, err
	}
	all, err := k.config.Store.History(name)
	if err != nil {
		return p, err
	}
	if now == 0 && len(all) > 0 {
		now = all[0].Number
	}
	if p.is, err = k.definition(name, now); err != nil {
		return p, err
	}
	if before == 0 {
		i := slices.IndexFunc(all, func(g group.Generation) bool { return g.Number == now })
		if i < 0 || i+1 >= len(all) {
			return p, &hint.Error{
				Err:  fmt.Errorf("group %s has no generation before %d to compare it with", name, now),
				Hint: "\"sallyport plan FILE\" shows what a file would change",
			}
		}
		before = all[i+1].Number
	}
	if p.was, err = k.definition(name, before); err != nil {
		return p, err
	}
	wanted := k.wantedNow(name)
	p.before, p.now, p.wanted, p.sensitive = before, now, &wanted.Group, k.sensitiveNow(name)
	p.moved = imagesOf(all, now).Moved(imagesOf(all, before))
	return p, nil
}

// definition is the store's Definition, with what to do if there is none.
func (k *Keeper) definition(name string, number int) (group.Definition, error) {
	d, err := k.config.Store.Definition(name, number)
	return d, k.explainMissing(err, name, number)
}

func imagesOf(all []group.Generation, number int) group.ImageDigests {
	for _, g := range all {
		if g.Number == number {
			return g.ImageDigests
		}
	}
	return nil
}

// maxTextDiff limits the diff of one file, in bytes.
const maxTextDiff = 256 << 10

// textDiffs returns what differs in the group files of the generations and in the files that they
// name. parts are the sensitive parts of them.
func (p pair) textDiffs(parts map[string]bool) (texts []group.TextDiff) {
	was, wasRead := spec.Masked(p.was.Bundle.HCL, parts, diff.Hidden)
	is, isRead := spec.Masked(p.is.Bundle.HCL, parts, diff.Hidden)
	switch file := p.is.Bundle.Name; {
	case !wasRead || !isRead:
		texts = append(texts, group.TextDiff{Name: file, Why: "its text can't be read any more, so it is not known what in it is sensitive"})
	case string(was) != string(is):
		texts = append(texts, p.textDiff(file, was, is))
	}
	paths := map[string]bool{}
	for _, files := range []map[string][]byte{p.was.Bundle.Files, p.is.Bundle.Files} {
		for path := range files {
			paths[path] = true
		}
	}
	secret := p.secrets(spec.NewParts(parts))
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if was, is := p.was.Bundle.Files[path], p.is.Bundle.Files[path]; string(was) != string(is) {
			if secret.in(was) || secret.in(is) {
				texts = append(texts, group.TextDiff{Name: path, Why: "it is sensitive in one of the generations"})
				continue
			}
			texts = append(texts, p.textDiff(path, was, is))
		}
	}
	return texts
}

// secrets are the values of two generations that are sensitive in one of them, or now.
type secrets struct {
	texts map[string]bool // without the space around them
	names map[string]bool // in the environment of containers
}

func (p pair) secrets(parts *spec.Parts) secrets {
	s := secrets{map[string]bool{}, map[string]bool{}}
	for _, g := range []*spec.Group{&p.was.Group, &p.is.Group} {
		for _, c := range g.Containers {
			add := func(part string, texts ...string) bool {
				if !parts.Has(g.Name, c.Name, part) {
					return false
				}
				for _, text := range texts {
					s.texts[strings.TrimSpace(text)] = true
				}
				return true
			}
			for _, f := range c.Files {
				add("file."+f.Path, string(f.Content))
			}
			for name, value := range c.Env {
				if add("env."+name, value) {
					s.names[name] = true
				}
			}
			add("command", c.Command...)
			add("args", c.Args...)
		}
	}
	delete(s.texts, "") // as a file that is not there
	return s
}

// in reports whether a text is one of the values, or an environment file with one.
func (s secrets) in(text []byte) bool {
	if s.texts[string(bytes.TrimSpace(text))] {
		return true
	}
	for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\ufeff"))) {
		if name, _, ok := bytes.Cut(line, []byte("=")); ok && s.names[string(bytes.TrimSpace(name))] {
			return true
		}
	}
	return false
}

func (p pair) textDiff(name string, was, is []byte) group.TextDiff {
	if !diff.IsText(string(was)) || !diff.IsText(string(is)) {
		return group.TextDiff{Name: name, Why: "it is no text"}
	}
	title := strings.ReplaceAll(name, "\n", `\n`) // one line in any case
	text := diff.Unified(fmt.Sprintf("generation %d: %s", p.before, title), was, fmt.Sprintf("generation %d: %s", p.now, title), is)
	if len(text) > maxTextDiff {
		return group.TextDiff{Name: name, Why: "the diff has " + spec.FormatSize(int64(len(text))) + ", and is not shown above " + spec.FormatSize(maxTextDiff)}
	}
	return group.TextDiff{Name: name, Diff: string(text)}
}

// explainMissing adds to the error for a missing generation which there are. number 0 means the
// generation before the wanted one.
func (k *Keeper) explainMissing(err error, name string, number int) error {
	if !errors.Is(err, group.ErrNoGeneration) {
		return err
	}
	if number == 0 {
		return &hint.Error{
			Err:  fmt.Errorf("group %s has no generation to go back to: none but what runs has proved itself, or is kept: %w", name, err),
			Hint: fmt.Sprintf("\"sallyport history %s\" shows them; apply a file instead", name),
		}
	}
	var kept []string
	all, _ := k.config.Store.History(name) // without it, the hint names none
	for _, g := range slices.Backward(all) {
		if g.Kept {
			kept = append(kept, strconv.Itoa(g.Number))
		}
	}
	return &hint.Error{
		Err:  fmt.Errorf("group %s: generation %d is not kept: %w", name, number, err),
		Hint: fmt.Sprintf("kept: %s; \"sallyport history %s\" shows them", strings.Join(kept, ", "), name),
	}
}
