package spec

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Unlimited is a [Ulimit] without a bound: "unlimited" in the file.
const Unlimited = -1

// A Ulimit bounds what each process of a container may have of one thing. Its program may raise its
// own soft limit up to the hard one.
type Ulimit struct {
	Name string `json:"name"` // one of [UlimitNames]
	Soft int64  `json:"soft"` // bytes or a number; [Unlimited]
	Hard int64  `json:"hard"` // never below Soft
}

// A ulimitKind describes an attribute of a `ulimits` block.
type ulimitKind struct {
	name      string
	size      bool // in bytes
	low, high int64
	unlimited bool // it may be without a bound
}

// Below 64 open files a runtime can't start a program, nor below 64 KiB of stack. The kernel's own
// bound on open files is fs.nr_open, which has no "unlimited".
var ulimitKinds = []ulimitKind{
	{name: "core", size: true, high: 1 << 50, unlimited: true},
	{name: "fsize", size: true, high: 1 << 50, unlimited: true},
	{name: "memlock", size: true, high: 1 << 50, unlimited: true},
	{name: "nofile", low: 64, high: 1 << 30},
	{name: "nproc", low: 1, high: maxPIDs, unlimited: true},
	{name: "stack", size: true, low: 64 << 10, high: 1 << 50, unlimited: true},
}

// UlimitNames returns the names of a `ulimits` block's attributes, sorted.
func UlimitNames() []string {
	var names []string
	for _, k := range ulimitKinds {
		names = append(names, k.name)
	}
	return names
}

// defaultUlimits are the limits that a container has without a line in its file. They are
// Sallyport's own, so that they do not depend on who started containerd. Those of open files are
// systemd's: programs that use select(2) break above 1024, and others raise their soft limit.
var defaultUlimits = []Ulimit{
	{"core", 0, 0},
	{"memlock", 8 * mebibyte, 8 * mebibyte}, // the kernel's, from 5.16 on
	{"nofile", 1024, 524_288},
	{"nproc", Unlimited, Unlimited}, // it counts a user's processes on the whole host; pids bounds the container's
}

// EffectiveUlimits returns the container's limits with the defaults filled in, sorted by name.
func (c Container) EffectiveUlimits() []Ulimit {
	all := slices.Clone(c.Ulimits)
	for _, l := range defaultUlimits {
		if !slices.ContainsFunc(all, func(own Ulimit) bool { return own.Name == l.Name }) {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b Ulimit) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// UlimitText returns the value of a limit of that name as a group file has it.
func UlimitText(name string, value int64) string {
	i := slices.IndexFunc(ulimitKinds, func(k ulimitKind) bool { return k.name == name })
	switch {
	case value == Unlimited:
		return "unlimited"
	case i >= 0 && ulimitKinds[i].size:
		return exactSize(value)
	}
	return fmt.Sprint(value)
}

// ulimits reads a container's `ulimits` block, sorted by name.
func (d *groupDecoder) ulimits(container *hclsyntax.Block) (all []Ulimit) {
	block := single(container, "ulimits")
	if block == nil {
		return nil
	}
	r := d.in(block)
	for _, k := range ulimitKinds {
		if !r.has(k.name) {
			continue
		}
		if l, ok := d.ulimit(r, k); ok {
			all = append(all, l)
		}
	}
	return all
}

// ulimit reads one limit: a value for both, or { soft = ..., hard = ... }.
func (d *groupDecoder) ulimit(r reader, k ulimitKind) (l Ulimit, ok bool) {
	l = Ulimit{Name: k.name, Soft: Unlimited, Hard: Unlimited}
	attr := r.body.Attributes[k.name]
	if _, isObject := unwrap(attr.Expr).(*hclsyntax.ObjectConsExpr); !isObject {
		v, ok := r.evalFor(k.name, attr.Expr)
		if !ok || v.IsNull() {
			return l, false
		}
		value, ok := d.ulimitValue(k, k.name, v, attr.Expr.Range())
		l.Soft, l.Hard = value, value
		return l, ok
	}
	items, ok := r.entries(k.name)
	if !ok {
		return l, false
	}
	has := map[string]bool{}
	for _, i := range items {
		if i.key != "soft" && i.key != "hard" {
			d.errorf(i.keyAt, "Unknown attribute", "There is no %s in %s = { ... }.%s Allowed are %s.", quote(i.key), k.name, DidYouMean(i.key, []string{"soft", "hard"}), list([]string{"soft", "hard"}))
			return l, false
		}
		value, valid := d.ulimitValue(k, i.key, i.value, i.at)
		if has[i.key], ok = true, ok && valid; i.key == "soft" {
			l.Soft = value
		} else {
			l.Hard = value
		}
	}
	at := attr.Expr.Range()
	switch {
	case !ok:
		return l, false
	case !has["soft"] || !has["hard"]:
		d.errorf(at, "Half a limit", "A limit with a soft and a hard value has both. Write %s = { soft = ..., hard = ... }, or one value for both.", k.name)
		return l, false
	case l.Hard != Unlimited && (l.Soft == Unlimited || l.Soft > l.Hard):
		d.errorf(at, "Soft above hard", "The soft limit is %s and the hard one %s. A soft limit is at most the hard one.", UlimitText(k.name, l.Soft), UlimitText(k.name, l.Hard))
		return l, false
	}
	return l, true
}

// ulimitValue reads a limit's soft or hard value, or both of them. name is the attribute's.
func (d *groupDecoder) ulimitValue(k ulimitKind, name string, v cty.Value, at hcl.Range) (int64, bool) {
	if k.unlimited && v.IsKnown() && !v.IsNull() && v.Type() == cty.String && v.AsString() == "unlimited" {
		return Unlimited, true
	}
	also := ""
	if k.unlimited {
		also = `, or "unlimited"`
	}
	if k.unlimited && v.IsKnown() && !v.IsNull() && v.Type() == cty.Number && v.AsBigFloat().Cmp(big.NewFloat(Unlimited)) == 0 {
		d.errorf(at, "Invalid "+k.name, "A limit is never below 0. For none at all, write: \"unlimited\"")
		return 0, false
	}
	if !k.size {
		v, ok := d.convert(v, cty.Number, quote(name), at)
		if !ok {
			return 0, false
		}
		f := v.AsBigFloat()
		if i, accuracy := f.Int64(); accuracy == big.Exact && i >= k.low && i <= k.high {
			return i, true
		}
		d.errorf(at, "Invalid "+k.name, "%s is a whole number from %d to %d%s, and this is %s.", quote(name), k.low, k.high, also, f.Text('g', 10))
		return 0, false
	}
	v, ok := d.convert(v, cty.String, quote(name), at)
	if !ok {
		return 0, false
	}
	bytes, problem := parseSize(v.AsString())
	if problem == "" && (bytes < k.low || bytes > k.high) {
		problem = fmt.Sprintf("is out of range: %q is from %s to %s%s", name, exactSize(k.low), exactSize(k.high), also)
	}
	if problem != "" {
		d.errorf(at, "Invalid "+k.name, "%s %s.", quote(v.AsString()), problem)
		return 0, false
	}
	return bytes, true
}
