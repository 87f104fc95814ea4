package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A side is one of the two definitions, taken apart.
type side struct {
	parts map[string]*part
	order []string
}

// A part is a group without its containers and volumes, a container, or a volume.
type part struct {
	container, volume string
	leaves            map[string]*leaf // by path
	order             []string
}

// A leaf is one attribute with a value, or a block with a label.
type leaf struct {
	value   string // of a hidden one too, so that it can be compared
	content bool   // it is a file's
	hidden  bool
	block   string // the path of the block that it is in, if that has a label
	isBlock bool   // it is the block itself
}

// notCompared are the fields that are no attributes. A field that is in neither list of a type here
// is compared.
var notCompared = map[reflect.Type][]string{
	reflect.TypeFor[spec.Group]():     {"Name", "Containers", "Volumes", "Digest", "Pos", "Variables", "Sensitive"}, // those of two groups have one name; the next two are parts, and variables are compared apart
	reflect.TypeFor[spec.Container](): {"Name", "Digest"},
	reflect.TypeFor[spec.Volume]():    {"Name"},
	reflect.TypeFor[spec.Mount]():     {"Path"}, // the label of the block, as those below
	reflect.TypeFor[spec.Tmpfs]():     {"Path"},
	reflect.TypeFor[spec.File]():      {"Path", "Sum", "Secrets"}, // those are in the content
	reflect.TypeFor[spec.Secret]():    {"Name"},
	reflect.TypeFor[spec.SecretUse](): {"Name"},
	reflect.TypeFor[spec.Probe]():     {"Kind"},
	reflect.TypeFor[spec.Ulimit]():    {"Name"},
	reflect.TypeFor[spec.Upstream]():  {"Name"},
	reflect.TypeFor[spec.Publish]():   {"Name"},
}

// fileWords are the words of a group file for the JSON names that differ from them.
var fileWords = map[string]string{
	"mounts": "mount", "files": "file", "secrets": "secret", "probes": "probe", "upstreams": "upstream", "role": "kind of block",
	"network.servers": "network.dns.servers", "intercept": "intercept.port",
	"ping_groups": "sysctls." + spec.PingSysctl,
}

func sideOf(g *spec.Group, h hiding) side {
	s := side{parts: map[string]*part{}}
	add := func(key string, p *part, v any) {
		p.leaves = map[string]*leaf{}
		w := walker{part: p, hiding: h}
		w.fields("", reflect.ValueOf(v))
		s.parts[key], s.order = p, append(s.order, key)
	}
	add("", &part{}, *g)
	for _, c := range g.Containers {
		c.Files = slices.Clone(c.Files)
		for i := range c.Files {
			c.Files[i].Content = c.Files[i].Shown()
		}
		add("container "+c.Name, &part{container: c.Name}, c)
	}
	for _, v := range g.Volumes {
		add("volume "+v.Name, &part{volume: v.Name}, v)
	}
	return s
}

// A walker fills a part.
type walker struct {
	*part
	hiding hiding
	block  string // that it is in
}

func (w walker) fields(prefix string, v reflect.Value) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if slices.Contains(notCompared[t], f.Name) {
			continue
		}
		if f.Anonymous {
			w.fields(prefix, v.Field(i))
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		path := prefix + name
		if word, ok := fileWords[path]; ok {
			path = word
		}
		w.value(path, name, v.Field(i))
	}
}

// value adds an attribute. name is the JSON name of its field.
func (w walker) value(path, name string, v reflect.Value) {
	switch value := v.Interface().(type) {
	case map[string]string:
		if w.hiding.hides(w.container, path) {
			w.leaf(path, fmt.Sprint(value), len(value) > 0)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(value)) {
			w.leaf(path+"."+key, quoted(value[key]), true)
		}
		return
	case []string:
		w.leaf(path, list(value), len(value) > 0 || name == "capabilities" && value != nil)
		return
	case []byte:
		if len(value) == 0 && name == "bundle" {
			return
		}
		w.leaf(path, string(value), true)
		w.leaves[path].content = true
		return
	case spec.AllowList:
		w.leaf(path, "[]", value.Nowhere())
		for _, a := range value {
			w.inBlock(path + " " + a.String())
		}
		return
	case time.Duration:
		w.leaf(path, value.String(), value != 0)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		w.fields(path+".", v)
	case reflect.Pointer:
		switch {
		case v.IsNil():
		case v.Elem().Kind() == reflect.Struct:
			w.fields(path+".", v.Elem())
		default:
			w.leaf(path, format(name, v.Elem()), true)
		}
	case reflect.Slice:
		for i := range v.Len() {
			label := labelOf(v.Index(i))
			if label == "" {
				label = strconv.Itoa(i + 1)
			}
			w.inBlock(path+" "+label).fields(path+" "+label+".", v.Index(i))
		}
	case reflect.Bool:
		w.leaf(path, format(name, v), true)
	default:
		w.leaf(path, format(name, v), !v.IsZero())
	}
}

// inBlock adds a block with a label and returns the walker of what is in it.
func (w walker) inBlock(path string) walker {
	w.leaf(path, "", true)
	w.leaves[path].isBlock = true
	w.block = path
	return w
}

func (w walker) leaf(path, value string, given bool) {
	if !given {
		return
	}
	w.leaves[path] = &leaf{value: value, hidden: w.hiding.hides(w.container, path), block: w.block}
	w.order = append(w.order, path)
}

// labelOf returns the label of the block that a value was read from.
func labelOf(v reflect.Value) string {
	if names := notCompared[v.Type()]; len(names) > 0 { // the first is the label
		return v.FieldByName(names[0]).String()
	}
	return ""
}

// format returns a value as a group file has it. name is the JSON name of its field.
func format(name string, v reflect.Value) string {
	switch {
	case v.CanInt() && v.Int() == spec.Unlimited && (name == "soft" || name == "hard"):
		return "unlimited"
	case v.CanInt() && slices.Contains([]string{"size", "shm_size", "memory", "swap", "disk", "quota"}, name):
		return size(v.Int())
	case v.CanInt() && (name == "in" || name == "out"):
		return spec.FormatRate(v.Int())
	case v.CanUint() && name == "mode":
		return fmt.Sprintf("%04o", v.Uint())
	case name == "key":
		if key, err := spec.ParsePublicKey([]byte(v.String())); err == nil {
			return "sha256:" + key.Fingerprint[:12]
		}
		return quoted(v.String())
	case v.Kind() == reflect.String:
		return quoted(v.String())
	case v.CanInt() || v.CanUint() || v.CanFloat() || v.Kind() == reflect.Bool:
		return fmt.Sprint(v.Interface())
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		panic(fmt.Sprintf("diff: encode %s: %v", v.Type(), err)) // all types of spec encode
	}
	return string(text)
}

// size returns a number of bytes as a group file has it, and never rounded.
func size(bytes int64) string {
	text := spec.FormatSize(bytes)
	if exact, problem := spec.ParseSize(text); problem != "" || exact != bytes {
		return fmt.Sprintf("%dB", bytes)
	}
	return text
}

func quoted(s string) string { return strconv.Quote(s) }

func list(texts []string) string {
	var all []string
	for _, t := range texts {
		all = append(all, quoted(t))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// whole returns the change for a container or volume that was added or removed.
func (p *part) whole(k Kind) Change {
	c := Change{Container: p.container, Volume: p.volume, Kind: k}
	text := p.contents("")
	if p.container != "" {
		text = "image " + p.leaves["image"].text()
	}
	if k == Added {
		c.Now = text
	} else {
		c.Before = text
	}
	return c
}

// contents returns what is in a block with a label: the values of its attributes.
func (p *part) contents(block string) string {
	var words []string
	for _, path := range p.order {
		if l := p.leaves[path]; l.block == block && !l.isBlock && l.value != "false" {
			words = append(words, strings.TrimPrefix(strings.TrimPrefix(path, block), ".")+" "+l.text())
		}
	}
	return strings.Join(words, ", ")
}

// A hiding has the parts of containers that are sensitive in one of two definitions, in the form of
// [spec.Group.Sensitive].
type hiding map[string]bool

func hidingOf(groups ...*spec.Group) hiding {
	h := hiding{}
	for _, g := range groups {
		for _, part := range g.Sensitive {
			h[part] = true
		}
	}
	return h
}

// hides reports whether an attribute of a container is hidden. path is that of its leaf.
func (h hiding) hides(container, path string) bool {
	path = partOf(path)
	whole, _, _ := strings.Cut(path, ".")
	return h[container+"."+path] || h[container+"."+whole]
}

// partOf returns the path of a leaf as [spec.Group.Sensitive] has it.
func partOf(path string) string {
	return strings.TrimSuffix(strings.Replace(path, "file /", "file./", 1), ".content")
}
