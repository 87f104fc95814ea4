package spec

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A RunChange has the parts of a run that differ from its template.
type RunChange struct {
	Name  string            // required: of the run's group
	Group string            // of the template. Empty: the file has one group
	Args  []string          // in the place of the app's args. Nil keeps those
	Env   map[string]string // added to the app's
	Files map[string][]byte // by absolute path in the app, added to its files
	// Timeout is how long the run may take. Zero keeps the time of the file.
	Timeout time.Duration
}

// AsRun returns a group that runs once, made from a group of a file. Its one app is not started
// again after a good end, and after a failure only with the policy on-failure. The streams of the
// app's output are kept apart. An update block does not count. src is the file, for the places of
// mistakes, and groups are those that Parse has made of it. They are not changed.
func AsRun(src Source, groups []Group, c RunChange) (Group, hcl.Diagnostics) {
	rep := &report{}
	template := findTemplate(src, groups, c.Group, rep)
	if template == nil {
		return Group{}, rep.diags
	}
	block := findBlock(findBody(src), "group", template.Name)
	checkRunVolumes(template, block, rep)
	i := findApp(template, block, rep)
	if i < 0 {
		return Group{}, rep.diags
	}
	g := *template
	g.Name, g.Update, g.Schedule, g.Timeout = c.Name, Update{}, nil, cmp.Or(c.Timeout, g.Timeout)
	g.Containers = slices.Clone(g.Containers)
	app := &g.Containers[i]
	if app.Restart.Policy == RestartAlways {
		app.Restart.Policy = RestartNever
	}
	app.Output.Split = true
	if len(c.Args) > 0 {
		app.Args = slices.Clone(c.Args)
	}
	d := &groupDecoder{scope: &scope{report: rep}}
	d.addEnv(app, c.Env)
	d.addFiles(app, c.Files, findBlock(bodyOf(block), string(App), app.Name))
	d.checkName("run", c.Name, maxGroupName, "", hcl.Range{})
	for _, diag := range rep.diags { // what the command line has is at no place of the file
		if diag.Subject != nil && diag.Subject.Filename == "" {
			diag.Subject = nil
		}
	}
	g.seal()
	return g, rep.sorted()
}

// findTemplate returns the group of that name, or the one that there is.
func findTemplate(src Source, groups []Group, name string, rep *report) *Group {
	var names []string
	for i := range groups {
		if names = append(names, groups[i].Name); groups[i].Name == name || name == "" && len(groups) == 1 {
			return &groups[i]
		}
	}
	switch {
	case name == "":
		rep.errorf(startOf(src.Name), "Several groups", "This file has %s, and a run is of one. Choose it: --group NAME.", list(names))
	default:
		rep.errorf(startOf(src.Name), "Unknown group", "This file has no group %s.%s It has %s.", quote(name), DidYouMean(name, names), list(names))
	}
	return nil
}

// checkRunVolumes refuses a persistent volume. Its contents outlive a group, by the group's name,
// and a run has a name of its own.
func checkRunVolumes(g *Group, block *hclsyntax.Block, rep *report) {
	for _, v := range g.Volumes {
		if v.Persistent {
			rep.errorf(placeOf(g, findBlock(bodyOf(block), "volume", v.Name)), "Not in a run",
				"The volume %s is persistent, and a run leaves nothing behind. Use a volume in memory (size = \"64MiB\"), or a folder of the host (host_path = \"/srv/data\").", quote(v.Name))
		}
	}
}

// findApp returns the index of the group's one app, or -1 if it has several. Each group has one.
func findApp(g *Group, block *hclsyntax.Block, rep *report) int {
	isApp := func(c Container) bool { return c.Role == App }
	i := slices.IndexFunc(g.Containers, isApp)
	if next := slices.IndexFunc(g.Containers[i+1:], isApp); next >= 0 {
		second := g.Containers[i+1+next].Name
		rep.errorf(placeOf(g, findBlock(bodyOf(block), string(App), second)), "Several apps to run", "A run has the exit status of its app, and the group %s has more than one. Make %s a sidecar, or give it a group of its own.", quote(g.Name), quote(second))
		return -1
	}
	return i
}

// addEnv adds variables to the app's environment.
func (d *groupDecoder) addEnv(app *Container, env map[string]string) {
	app.Env = maps.Clone(app.Env)
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if d.checkEnvName(name, hcl.Range{}); strings.ContainsRune(env[name], 0) {
			d.errorf(hcl.Range{}, "Invalid environment variable", "The value of %s contains a NUL character, which no variable can have.", name)
		}
		if app.Env == nil {
			app.Env = map[string]string{}
		}
		app.Env[name] = env[name]
	}
}

// addFiles adds files to those of the app. One at the path of an earlier one is in its place.
func (d *groupDecoder) addFiles(app *Container, files map[string][]byte, block *hclsyntax.Block) {
	taken := map[string]hcl.Range{}
	at := hcl.Range{}
	if block != nil {
		at = block.DefRange()
	}
	for _, m := range app.Mounts {
		taken[m.Path] = at
	}
	for _, t := range app.Tmpfs {
		taken[t.Path] = at
	}
	app.Files = slices.Clone(app.Files)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		p, ok := d.target("--file", name, hcl.Range{}, taken)
		if !ok {
			continue
		}
		if len(files[name]) > MaxPlacedFile {
			d.errorf(hcl.Range{}, "File too large", "The file for %s has %d KiB; a placed file has at most %d KiB. Use a folder of the host, or standard input.", quote(name), len(files[name])>>10, MaxPlacedFile>>10)
		}
		app.Files = slices.DeleteFunc(app.Files, func(f File) bool { return f.Path == p })
		app.Files = append(app.Files, File{Path: p, Content: files[name]})
	}
	for _, f := range app.Files {
		if _, ok := taken[f.Path]; !ok {
			taken[f.Path] = at
		}
	}
	slices.SortFunc(app.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if len(app.Secrets) > 0 && within(path.Clean(name), SecretsPath) {
			d.errorf(hcl.Range{}, "In the folder of the secrets", "The app has its secrets in %s, which nothing else can be in. Choose a path outside of it for %s.", SecretsPath, quote(name))
		}
	}
	if len(files) > 0 {
		d.checkFolders(app, taken)
	}
}

// findBody returns the blocks of a file. It is nil if they can't be read.
func findBody(src Source) *hclsyntax.Body {
	body, _, _ := readSyntax(src.Name, src.Bytes, &report{})
	return body
}

func bodyOf(block *hclsyntax.Block) *hclsyntax.Body {
	if block == nil {
		return nil
	}
	return block.Body
}

// findBlock returns a block by its type and label, or nil.
func findBlock(body *hclsyntax.Body, kind, name string) *hclsyntax.Block {
	if body == nil {
		return nil
	}
	for _, b := range blocksOf(body, kind) {
		if l, ok := label(b); ok && l == name {
			return b
		}
	}
	return nil
}

// placeOf returns the place of a block, or else that of its group.
func placeOf(g *Group, block *hclsyntax.Block) hcl.Range {
	if block == nil {
		return g.Pos.rangeIn()
	}
	return block.DefRange()
}
