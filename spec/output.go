package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits on how much of a container's output is kept. Space is freed in whole blocks of the file
// system, so a smaller size could not be held. A program that prints fast writes some MiB between
// two looks.
const (
	minOutputSize = mebibyte
	maxOutputSize = 1 << 40
)

// output reads what becomes of what a container prints.
func (d *groupDecoder) output(container *hclsyntax.Block) (o Output) {
	block := single(container, "output")
	if block == nil {
		return o
	}
	r := d.in(block)
	o.Size, _ = r.size("size", minOutputSize, maxOutputSize)
	o.Split = r.flag("split")
	o.Journal = r.flag("journal")
	return o
}

// outputOf reads where a sidecar finds the folder with its group's output.
func (d *groupDecoder) outputOf(container *hclsyntax.Block, taken map[string]hcl.Range) string {
	block := single(container, "output_of")
	if block == nil {
		return ""
	}
	p, at, ok := d.in(block).text("path", required)
	if !ok {
		return ""
	}
	p, ok = d.target("path", p, at, taken)
	if !ok {
		return ""
	}
	// A place inside would be made on the host, among the group's output.
	for _, file := range []string{"/etc/hostname", "/etc/hosts", "/etc/resolv.conf"} {
		if within(file, p) {
			d.errorf(at, "Can't be covered", "Sallyport places %s in each container, so the group's output can't be at %s. Choose another path.", file, quote(p))
			return ""
		}
	}
	for inside, at := range taken {
		if inside != p && within(inside, p) {
			d.errorf(at, "Inside the group's output", "%s is in the folder of the group's output, to which nothing can be added. Choose another path.", quote(inside))
		}
	}
	return p
}

// noOutputOf is why a block of another kind has no `output_of`, as the end of a sentence.
var noOutputOf = map[string]string{
	"app":        "the output of a group is for the sidecar that ships it. Move it to a sidecar block",
	"init":       "an init runs before the group has any output. Move it to a sidecar block",
	"ambassador": "the ambassador is the group's door to the world, so it is given nothing that members print. Move it to a sidecar block: the sidecar sends the output through the ambassador",
}
