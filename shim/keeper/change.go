package keeper

import (
	"context"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
	"github.com/sallyport/sallyport/spec"
)

// A change is the installation of files, from the reading to the end or the undoing. An apply goes
// through read, prepare, install and collectResults. A revert installs by itself, since it already
// holds the right to the store, and waits for nothing.
type change struct {
	keeper  *Keeper
	files   []group.Bundle
	texts   []*store.Text                    // theirs
	groups  []spec.Group                     // the groups that the files define
	of      map[string][]string              // by file name, the groups that it defines or defined
	leaves  []string                         // the groups that the files defined before and no longer define
	images  map[string]map[string]host.Image // by group and reference, after prepare
	digests map[string]group.ImageDigests    // by group, as installed
	before  map[string]int                   // by group, the generation before install; 0: there was none
	added   map[string]bool                  // by file name: the folder had no such file before install
	undos   undos                            // after install
	holds   imageHolds                       // of the images, from prepare to releaseImages
}

// read parses the files. It checks them against each other and against everything else that is
// wanted.
func (k *Keeper) read(ctx context.Context, files []group.Bundle) (*change, error) {
	c := &change{keeper: k, files: files, of: map[string][]string{}}
	for _, b := range files {
		if _, twice := c.of[b.Name]; twice {
			return nil, twoFiles(b.Name)
		}
		t, err := k.config.Store.Read(ctx, b)
		if err != nil {
			return nil, err
		}
		c.of[b.Name] = []string{}
		for _, g := range t.Groups {
			c.of[b.Name] = append(c.of[b.Name], g.Name)
		}
		c.texts = append(c.texts, t)
		c.groups = append(c.groups, t.Groups...)
	}
	return c, c.check()
}

// check compares the change with what is wanted now, and sets leaves.
func (c *change) check() error {
	k := c.keeper
	k.mu.Lock()
	defer k.mu.Unlock()
	ours := map[string]bool{}
	for _, g := range c.groups {
		if ours[g.Name] = true; k.isRun(g.Name) {
			return &hint.Error{Err: fmt.Errorf("there is a run %s", g.Name), Hint: "give the group another name, or wait until the run is over"}
		}
	}
	c.leaves = nil
	for name, w := range k.wanted {
		if _, replaced := c.of[w.File]; replaced && !ours[name] {
			c.leaves = append(c.leaves, name)
		}
	}
	slices.Sort(c.leaves)
	if err := c.checkLeaves(); err != nil {
		return err
	}
	replaced := func(name string) bool {
		_, replaced := c.of[k.wanted[name].File]
		return replaced
	}
	if diags := k.loaded.Index.Conflicts(c.groups, replaced); diags.HasErrors() {
		e := &store.FileError{Diags: diags, Files: map[string][]byte{}}
		for _, b := range c.files {
			e.Files[b.Path] = b.HCL
		}
		return e
	}
	return nil
}

// checkLeaves refuses a file that would remove groups only because its name is that of their file:
// it comes from another folder than the installed file. The caller holds mu.
func (c *change) checkLeaves() error {
	for _, name := range c.leaves {
		file := c.keeper.wanted[name].File
		old, ok := c.keeper.config.Store.Installed(file)
		if !ok || old.Path == "" {
			continue // gone, or put there by hand: it came from no folder
		}
		ours := c.files[slices.IndexFunc(c.files, func(b group.Bundle) bool { return b.Name == file })]
		if ours.Path != old.Path {
			return &hint.Error{
				Err:  fmt.Errorf("%s would replace %s, which is installed as %s too and has group %s", ours.Path, old.Path, file, name),
				Hint: "give the file another name, or remove the group first: sallyport rm " + name,
			}
		}
	}
	return nil
}

// prepare makes sure that the groups can be built, before anything is stopped for them: their ports
// are free, the host has their volumes, devices and images. digests has, by group,
// the references that are fixed to a digest. The caller calls releaseImages at the end of the
// change.
func (c *change) prepare(ctx context.Context, digests map[string]group.ImageDigests) error {
	if err := c.checkPorts(); err != nil {
		return err
	}
	if err := c.checkVolumes(ctx); err != nil {
		return err
	}
	if err := c.checkDevices(); err != nil {
		return err
	}
	return c.resolveImages(ctx, digests)
}

// checkPorts returns an error if others use a port that a group is to publish and does not publish
// yet.
func (c *change) checkPorts() error {
	for i := range c.groups {
		for _, p := range runner.NewPorts(c.keeper.wantedGroup(c.groups[i].Name), &c.groups[i]) {
			taken, err := c.keeper.config.PortTaken(p)
			if err != nil {
				return fmt.Errorf("group %s: ask who uses port %s: %w", c.groups[i].Name, p.HostPort(), err)
			}
			if taken != nil {
				return fmt.Errorf("group %s: %w", c.groups[i].Name, taken)
			}
		}
	}
	return nil
}

// checkVolumes returns an error if a group of the change cannot have its volumes on this host.
func (c *change) checkVolumes(ctx context.Context) error {
	for i := range c.groups {
		if err := c.keeper.config.Volumes.Check(ctx, &c.groups[i]); err != nil {
			return fmt.Errorf("group %s: %w", c.groups[i].Name, err)
		}
	}
	return nil
}

// checkDevices returns an error if a container that the change makes or replaces can't have its
// devices on this host.
func (c *change) checkDevices() error {
	if c.keeper.config.Devices == nil {
		return nil
	}
	for i := range c.groups {
		g, before := &c.groups[i], c.keeper.wantedGroup(c.groups[i].Name)
		for _, one := range g.Containers {
			if before != nil {
				if was := before.Container(one.Name); was != nil && was.Digest == one.Digest {
					continue
				}
			}
			if err := c.keeper.config.Devices.CheckDevices(g, one); err != nil {
				return fmt.Errorf("group %s: %w", g.Name, err)
			}
		}
	}
	return nil
}

func twoFiles(name string) error {
	return &hint.Error{
		Err:  fmt.Errorf("two files are named %s", name),
		Hint: "rename one of them: both would be installed under that name",
	}
}
