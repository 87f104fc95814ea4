package spec

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A groupDecoder reads one group block. It reads the names that it knows; a checker reports the
// others.
type groupDecoder struct {
	*scope
	src       Source
	group     string
	dns       DNS
	volumes   map[string]hcl.Range           // declared in the group
	secrets   map[string]hcl.Range           // declared in the group
	misplaced map[*hclsyntax.Attribute]bool  // with references to secrets that were reported
	hostPaths map[string]string              // by name, of the volumes that are folders of the host
	filled    map[string]hcl.Range           // by volume, the mount that fills it from an image
	named     map[string]hcl.Range           // by volume, the owner with a name of an image in it
	waits     []wait                         // of sidecars and of apps, for each other
	placed    map[string]hcl.Range           // in the ambassador, by path; empty without one
	hidden    []string                       // what environment files have, in the form of [Group.Sensitive]
	upstream  map[string]cty.Value           // "127.0.0.1:9001"
	listens   map[*hclsyntax.Block]Upstream  // the upstream blocks, read before everything that refers to them
	pings     *hcl.Range                     // of the ambassador's [PingSysctl]; nil without one
	published map[*hclsyntax.Block][]Publish // by ambassador block, read before the probes that name a port
}

// decodeGroup reads a group. ok is false after a mistake, in the group or in a value that it refers
// to.
func decodeGroup(block *hclsyntax.Block, src Source, known names, from *origins, made *copies, damaged bool, m *meter, rep *report) (g Group, ok bool) {
	name, _ := label(block)
	d := &groupDecoder{
		scope:     &scope{report: rep, meter: m, names: known, origins: from, copies: made, inGroup: true, damaged: damaged},
		src:       src,
		group:     name,
		volumes:   map[string]hcl.Range{},
		secrets:   map[string]hcl.Range{},
		misplaced: map[*hclsyntax.Attribute]bool{},
		hostPaths: map[string]string{},
		filled:    map[string]hcl.Range{},
		named:     map[string]hcl.Range{},
		upstream:  map[string]cty.Value{},
		listens:   map[*hclsyntax.Block]Upstream{},
		published: map[*hclsyntax.Block][]Publish{},
	}
	g = Group{Name: name, Pos: posOf(block.DefRange())}
	if len(block.Labels) > 0 {
		rep.checkName("group", name, maxGroupName, ", because containers are called GROUP.CONTAINER in containerd, which takes 76", block.LabelRanges[0])
	}
	block = d.expandInside(block)
	d.readUpstreams(block)
	d.names = known.
		with("upstream", d.upstream).
		with("group", map[string]cty.Value{"name": cty.StringVal(name)})

	for door := range d.keyed(blocksOf(block.Body, string(Ambassador))) {
		d.published[door] = d.publish(door)
	}
	r := d.in(block)
	g.Labels = d.labels(r)
	d.dns = d.readDNS(r, block)
	g.DNS = d.dns
	g.Network = d.network(block)
	g.Volumes = d.readVolumes(block)
	d.checkSecretReferences(block)
	g.Secrets = d.readSecrets(block)
	g.Containers = d.readContainers(block)
	g.Resources = d.limits(block)
	g.Update = d.update(block)
	g.Schedule = d.schedule(block)
	g.Timeout = d.timeout(r, &g)
	g.Egress = d.egress(r, block)
	d.checkDoor(block, g.Egress)
	d.checkServers(&g, block)
	d.checkRoles(block)
	d.checkAfter(&g)
	d.checkOwners(&g)
	d.checkSigned(&g, block)
	d.checkResources(&g, block)
	d.checkTmpfs(&g, block)
	d.checkSharedMemory(&g, block)
	d.checkInside(&g)
	d.checkUpdate(&g, block)
	d.checkSchedule(&g, block)
	d.warnShared(&g, block)
	if d.unresolved || rep.hasErrors() {
		return Group{}, false
	}
	g.Variables, g.Sensitive = from.variablesOf(block), from.sensitiveOf(block)
	if len(d.hidden) > 0 {
		g.Sensitive = slices.Sorted(slices.Values(append(g.Sensitive, d.hidden...)))
	}
	g.seal()
	return g, true
}

func (d *groupDecoder) readContainers(block *hclsyntax.Block) []Container {
	var all []Container
	seen := map[string]hcl.Range{}
	for b := range d.keyed(containersOf(block)) {
		if name, ok := label(b); ok {
			d.checkName("container", name, maxContainerName, "", b.LabelRanges[0])
			d.unique(seen, "container", name, b.LabelRanges[0])
		}
		all = append(all, d.container(Role(b.Type), b))
	}
	return all
}

// containersOf returns the blocks of a group's containers in start order, which is the order of
// Group.Containers.
func containersOf(group *hclsyntax.Block) []*hclsyntax.Block {
	var all []*hclsyntax.Block
	for _, role := range []Role{Ambassador, Init, Sidecar, App} {
		all = append(all, blocksOf(group.Body, string(role))...)
	}
	return all
}

// checkRoles reports a group without an app, or with two doors.
func (d *groupDecoder) checkRoles(block *hclsyntax.Block) {
	if len(blocksOf(block.Body, string(App))) == 0 && !meant(block, string(App)) {
		d.errorf(block.DefRange(), "No app in this group", "A group exists for its app, and this one has none. Add one: app \"NAME\" { image = \"...\" }.")
	}
	doors := blocksOf(block.Body, string(Ambassador))
	for _, b := range doors[min(1, len(doors)):] {
		d.errorf(b.DefRange(), "Second ambassador", "A group has one door: there is already an ambassador on line %d. Let that one do the work of both, or make this a sidecar, which reaches the world through the ambassador.", doors[0].TypeRange.Start.Line)
	}
}

const threeChoices = `Choose one:
  ambassador "NAME" { image = "..." }   only this container exchanges packets with the world
  egress = "none"                       the group is sealed: nothing leaves it
  egress = "direct"                     every container of the group may leave it`

// egress reads which containers may leave. The default depends on whether there is an ambassador.
func (d *groupDecoder) egress(r reader, block *hclsyntax.Block) Egress {
	door := blocksOf(block.Body, string(Ambassador))
	text, at, given := r.text("egress", optional)
	e := Egress(text)
	switch all := []string{string(EgressAmbassador), string(EgressNone), string(EgressDirect)}; {
	case !given && r.has("egress") && (d.unresolved || d.mentions(at)):
		return "" // reported
	case !given && len(door) > 0:
		return EgressAmbassador
	case !given && (meant(block, string(Ambassador)) || meant(block, "egress")):
		return "" // checkGroup reports the name
	case !given:
		d.errorf(block.DefRange(), "Who may leave this group?", "This group has no ambassador and no egress line. %s", threeChoices)
	case !slices.Contains(all, text):
		d.errorf(at, "Invalid egress", "%s is not a way out.%s It is one of %s.", quote(text), DidYouMean(text, all), list(all))
	case e == EgressAmbassador && len(door) == 0:
		d.errorf(at, "No ambassador in this group", "Only the ambassador may leave this group, and it has none. %s", threeChoices)
	case e == EgressNone && len(door) > 0:
		d.errorf(at, "An ambassador in a sealed group", "With egress = \"none\" nothing leaves the group, so its ambassador %s would lead nowhere. Remove the egress line to let the ambassador out, or remove the ambassador. If it only answers at published ports and calls nowhere, write allow = [] in it instead of the egress line.", labelText(door[0]))
	case e == EgressDirect && len(door) > 0:
		d.errorf(at, "An ambassador in an open group", "With egress = \"direct\" every container may leave, so nothing would make them use the ambassador %s. Remove the egress line to let only the ambassador out, or make it a sidecar.", labelText(door[0]))
	}
	return e
}

func labelText(b *hclsyntax.Block) string {
	name, _ := label(b)
	return quote(name)
}

var labelKey = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$`)

// labels reads the group's labels. containerd keeps them, and takes at most 4096 bytes for a key
// and its value.
func (d *groupDecoder) labels(r reader) map[string]string {
	const longest = 4096
	labels := r.textMap("labels", func(key string, at hcl.Range) {
		switch {
		case strings.HasPrefix(key, "sallyport.dev/"):
			d.errorf(at, "Reserved label", "Labels below sallyport.dev/ are Sallyport's own. Choose another prefix for %s.", quote(key))
		case !labelKey.MatchString(key) || len(key) > 128:
			d.errorf(at, "Invalid label", "%s can't be a label's key: a key has at most 128 letters, digits and any of -_./ between them.", quote(key))
		}
	})
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if len(key)+len(labels[key]) > longest {
			d.errorf(r.body.Attributes["labels"].Expr.Range(), "Label too long", "The label %s has %d bytes; a key and its value have at most %d together.", quote(key), len(key)+len(labels[key]), longest)
		}
	}
	return labels
}

func posOf(at hcl.Range) Pos {
	return Pos{File: at.Filename, Line: at.Start.Line, Column: at.Start.Column}
}
