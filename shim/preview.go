package shim

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/spec"
)

// A Preview is what would be done to one group.
type Preview struct {
	Group  string   `json:"group"`
	Steps  []string `json:"steps"`           // each step's text; empty: nothing to do
	Opens  []string `json:"opens,omitempty"` // what may leave or enter that could not before
	Closes []string `json:"closes,omitempty"`
	Unsafe []string `json:"unsafe,omitempty"` // what is given up, whether or not it was before
	Ended  string   `json:"ended,omitempty"`  // how it has ended of its own accord, where the file is unchanged and so doesn't run it again
	Error  string   `json:"error,omitempty"`  // what could not be looked at, so that steps may be missing
}

// Preview says what Apply would do, changing nothing and fetching nothing. One entry per group the sources define, then one
// per group that a file defines now and would define no more.
func (k *Keeper) Preview(ctx context.Context, files []Bundle) ([]Preview, error) {
	if err := k.await(ctx); err != nil {
		return nil, err
	}
	c, err := k.read(files)
	if err != nil {
		return nil, err
	}
	var out []Preview
	for i := range c.groups {
		g := &c.groups[i]
		out = append(out, k.preview(ctx, g.Name, g))
	}
	for _, name := range c.leaves {
		out = append(out, k.preview(ctx, name, nil))
	}
	return out, nil
}

func (k *Keeper) preview(ctx context.Context, group string, want *spec.Group) Preview {
	in := PlanInput{Group: group, Want: want, Assume: true, Now: k.config.Now(), Layout: k.config.Store.Layout()}
	k.mu.Lock()
	if w, ok := k.wanted[group]; ok {
		in.Was, in.Stopped = &w.Group, want != nil && w.Stopped
		in.Pins = w.Pins
		if want != nil && want.Digest == w.Group.Digest {
			in.Ended, in.EndedErr = k.config.Store.Ended(group, w.Generation)
		}
	}
	k.mu.Unlock()
	if want != nil {
		now := k.meanings(ctx, want, in.Pins)
		if now.differ(in.Pins) { // another generation, which has not ended
			in.Ended = nil
		}
		in.Pins = now
	}
	in.Observed = k.machine.Observe(ctx, group, in.toRun())
	if lives, err := k.config.Store.Lives(group); err == nil && !in.Observed.begins() {
		in.Observed = in.Observed.recalled(lives)
	}
	p := Preview{Group: group, Steps: Texts(Plan(in))}
	p.Opens, p.Closes = difference(in.Was, want)
	if want != nil {
		p.Unsafe = UnsafeTexts(want)
	}
	if in.Ended != nil && !in.Stopped {
		p.Ended = in.Ended.unchanged(want)
	}
	p.Error = errorText(in.Observed.unknown(want))
	return p
}

// Texts are the lines of the steps; never nil.
func Texts(steps []Step) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = s.String()
	}
	return out
}

// Offline is Preview without a host: what it takes to bring each group up where nothing of it is.
func Offline(l Layout, groups []spec.Group) []Preview {
	var out []Preview
	for i := range groups {
		p := Preview{Group: groups[i].Name, Steps: Texts(Plan(PlanInput{Want: &groups[i], Assume: true, Observed: Nothing(), Layout: l}))}
		p.Opens, p.Closes = difference(nil, &groups[i])
		p.Unsafe = UnsafeTexts(&groups[i])
		out = append(out, p)
	}
	return out
}

// A change is what an Apply of some files comes to.
type change struct {
	files  []Bundle
	groups []spec.Group        // what the files define
	leaves []string            // groups that the files defined before and define no more
	pins   map[string]Pins     // by group, once its images are present
	of     map[string][]string // file name -> groups it defines or defined
}

// read parses the files and checks them against each other and against everything else that is wanted.
func (k *Keeper) read(files []Bundle) (change, error) {
	c := change{files: files, of: map[string][]string{}}
	for _, b := range files {
		if _, twice := c.of[b.Name]; twice {
			return c, twoFiles(b.Name)
		}
		groups, err := k.config.Store.Read(b)
		if err != nil {
			return c, err
		}
		c.of[b.Name] = []string{}
		for _, g := range groups {
			c.of[b.Name] = append(c.of[b.Name], g.Name)
		}
		c.groups = append(c.groups, groups...)
	}
	return c, k.check(&c)
}

// check compares the change with what is wanted now, and fills in what leaves.
func (k *Keeper) check(c *change) error {
	k.mu.Lock()
	wanted := maps.Clone(k.wanted)
	k.mu.Unlock()
	var all []spec.Group
	c.leaves = nil
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		w := wanted[name]
		here, replaced := c.of[w.File]
		switch {
		case !replaced:
			all = append(all, w.Group)
		case !slices.Contains(here, name):
			if !slices.ContainsFunc(c.groups, func(g spec.Group) bool { return g.Name == name }) {
				c.leaves = append(c.leaves, name)
			}
		}
	}
	if err := k.checkLeaves(c, wanted); err != nil {
		return err
	}
	if diags := k.config.Store.Conflicts(append(all, c.groups...)); diags.HasErrors() {
		e := &FileError{Diags: diags, Files: map[string][]byte{}}
		for _, b := range c.files {
			e.Files[b.Path] = b.HCL
		}
		return e
	}
	return nil
}

// checkLeaves refuses a file that would take groups away by no more than having the name of theirs: it comes from another
// folder than the file that is installed.
func (k *Keeper) checkLeaves(c *change, wanted map[string]Wanted) error {
	for _, name := range c.leaves {
		file := wanted[name].File
		old, err := k.config.Store.Bundle(file)
		if err != nil || old.Path == "" {
			continue // gone, or put there by hand: there is no other folder
		}
		ours := c.files[slices.IndexFunc(c.files, func(b Bundle) bool { return b.Name == file })]
		if ours.Path != old.Path {
			return &Problem{
				Err:  fmt.Errorf("%s would replace %s, which is installed as %s too and has group %s", ours.Path, old.Path, file, name),
				Hint: "give the file another name, or remove the group first: sallyport rm " + name,
			}
		}
	}
	return nil
}
