package spec

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// computed matches a text with an expression in it. Such a text can be any value.
const computed = `[$%]\{`

// A refRow is an attribute in a table of REFERENCE.md.
type refRow struct {
	name, form, preset, text string // the cells
	table                    int    // which table of its section, from 0
}

// tableRows returns the attributes in the tables of a section.
func tableRows(text string) (all []refRow) {
	table := -1
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if strings.HasPrefix(line, "| ---") {
			table++
		}
		if len(cells) != 6 || cells[0] != "" {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if name := strings.Trim(cells[1], "`"); cells[1] == "`"+name+"`" {
			all = append(all, refRow{name, cells[2], cells[3], cells[4], table})
		}
	}
	return all
}

var (
	link    = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	pointer = regexp.MustCompile(`(, |\. |; )(see (below|\[[^\]]*\]\([^)]*\))|\[(More|more[^\]]*|On disk)\]\([^)]*\))`)
	words   = regexp.MustCompile("^`\"[^`]*\"`(, `\"[^`]*\"`)*$")
	amounts = regexp.MustCompile("^(size|rate|time|number|whole number)(?: from ([0-9.]+)[a-zA-Z]*)?(?: (?:up )?to ([0-9.]+)[a-zA-Z]*)?(, or `\"unlimited\"`)?([;,].*)?$")
)

// plainText returns a cell without links, and without what points to another part of the document.
func plainText(cell string) string {
	return strings.ReplaceAll(link.ReplaceAllString(pointer.ReplaceAllString(cell, ""), "$1"), "`", "")
}

// about returns what an editor shows of an attribute.
func (r refRow) about() string {
	text, form, preset := plainText(r.text), plainText(r.form), plainText(r.preset)
	if text != "" {
		text = upperFirst(text) + ". "
	}
	switch form {
	case "bool", "true, false":
		form = "true or false"
	}
	switch text += upperFirst(form) + "."; {
	case preset == "":
		return text
	case strings.HasPrefix(strings.Trim(preset, "*"), "required"):
		return text + " " + upperFirst(strings.Trim(preset, "*")) + "."
	}
	return text + " Default: " + preset + "."
}

// isRequired reports whether the attribute always has to be there.
func (r refRow) isRequired() bool { return strings.Trim(r.preset, "*") == "required" }

// value returns the default, if it is one of JSON and holds always.
func (r refRow) value() json.RawMessage {
	text := r.preset
	if _, err := strconv.Atoi(text); err != nil {
		text = strings.Trim(text, "`")
		if r.preset != "`"+text+"`" || strings.Contains(text, "`") {
			return nil
		}
	}
	if !json.Valid([]byte(text)) {
		return nil
	}
	return json.RawMessage(text)
}

// A schemaMaker makes the schema for editors.
type schemaMaker struct {
	t     *testing.T
	prose string
	parts map[string]string // sections, by their titles
	defs  map[string]*jsonschema.Schema
}

func (m schemaMaker) section(title string) string {
	if _, ok := m.parts[title]; !ok {
		m.parts[title] = section(m.t, m.prose, title)
	}
	return m.parts[title]
}

func ref(name string) *jsonschema.Schema {
	return &jsonschema.Schema{Ref: "#/definitions/" + name}
}

func textLike(pattern string) *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: "(" + pattern + ")|" + computed}
}

func enum(values ...string) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

func between(kind, low, high string) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: kind}
	for text, bound := range map[string]**float64{low: &s.Minimum, high: &s.Maximum} {
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			*bound = &f
		}
	}
	return s
}

func anyText() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number"}}
}

func arrayOf(item *jsonschema.Schema, low, high int) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "array", Items: item}
	if low > 0 {
		s.MinItems = &low
	}
	if high > 0 {
		s.MaxItems = &high
	}
	return s
}

// object returns the schema of an object with these members, and with computed names.
func object(members map[string]*jsonschema.Schema, required ...string) *jsonschema.Schema {
	return &jsonschema.Schema{
		Type: "object", Properties: members, Required: required, AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		PatternProperties: map[string]*jsonschema.Schema{computed: {}},
	}
}

// forms returns the schemas for a value, by the words of the reference. One of them has to hold.
// nil: any value is fine.
func (m schemaMaker) forms(kind string, r refRow) []*jsonschema.Schema {
	expression, numeric := ref("expression"), ref("number-in-a-text")
	port := between("integer", "1", "65535")
	switch form := link.ReplaceAllString(r.form, "$1"); {
	case kind == "variable" && r.name == "type":
		return []*jsonschema.Schema{enum("string", "number", "bool", "any"), {Type: "string"}}
	case form == "any, without references":
		return nil
	case form == "bool" || form == "`true`, `false`":
		return []*jsonschema.Schema{{Type: "boolean"}, ref("boolean-in-a-text")}
	case form == "`true`":
		return []*jsonschema.Schema{{Type: "boolean", Enum: []any{true}}, ref("boolean-in-a-text")}
	case words.MatchString(form):
		return []*jsonschema.Schema{enum(quoted(form)...), expression}
	case amounts.MatchString(form):
		return m.amount(kind, amounts.FindStringSubmatch(form))
	case form == "port":
		return []*jsonschema.Schema{port, numeric}
	case strings.HasPrefix(form, "port, or a range"):
		return []*jsonschema.Schema{port, textLike(`^[0-9]+(-[0-9]+)?$`)}
	case strings.HasPrefix(form, "text of three or four octal digits"):
		return []*jsonschema.Schema{textLike(`^[0-7]{1,4}$`)}
	case form == "absolute path" || form == "absolute path of the host" || form == "absolute path on the host" || form == "path below `/dev`":
		return []*jsonschema.Schema{textLike(`^/`)}
	case form == "list of texts" && r.name == "capabilities":
		return []*jsonschema.Schema{arrayOf(&jsonschema.Schema{AnyOf: []*jsonschema.Schema{enum(grantable...), {Type: "string"}}}, 0, 0), expression}
	case strings.HasPrefix(form, "list of `"):
		return []*jsonschema.Schema{arrayOf(&jsonschema.Schema{AnyOf: []*jsonschema.Schema{enum(quoted(form)...), {Type: "string"}}}, 1, 0), expression}
	case strings.HasPrefix(form, "list of one to three"):
		return []*jsonschema.Schema{arrayOf(anyText(), 1, 3), expression}
	case strings.HasPrefix(form, "list of texts, not empty") || strings.HasPrefix(form, "list of texts, a program's absolute path first"):
		return []*jsonschema.Schema{arrayOf(anyText(), 1, 0), expression}
	case strings.HasPrefix(form, "list of"):
		return []*jsonschema.Schema{arrayOf(anyText(), 0, 0), expression}
	case form == "map of texts":
		return []*jsonschema.Schema{{Type: "object", AdditionalProperties: &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}}, expression}
	case form == "map of settings":
		members := map[string]*jsonschema.Schema{}
		names := GroupSysctls()
		if slices.Contains(containerKinds, kind) {
			names = append(ContainerSysctls(), PingSysctl) // all roles have one definition
		}
		for _, name := range names {
			members[name] = anyText()
		}
		return []*jsonschema.Schema{object(members), expression}
	case kind == "probe" && strings.HasPrefix(form, "`{ port"):
		return []*jsonschema.Schema{m.endpoint(r.name), expression}
	case form == "text" || strings.HasPrefix(form, "text:") || strings.HasPrefix(form, "path") || strings.HasPrefix(form, "IANA name") || strings.HasPrefix(form, "repository"):
		return []*jsonschema.Schema{anyText()}
	}
	m.t.Fatalf("REFERENCE.md has a type of %s in %s that the schema has no form for: %s", r.name, kind, r.form)
	return nil
}

// quoted returns the texts in quotes.
func quoted(text string) (all []string) {
	for _, part := range regexp.MustCompile(`"([^"]*)"`).FindAllStringSubmatch(text, -1) {
		all = append(all, part[1])
	}
	return all
}

// amount returns the schemas of a number, a size, a rate or a time.
func (m schemaMaker) amount(kind string, parts []string) []*jsonschema.Schema {
	forms := map[string][]*jsonschema.Schema{
		"number":       {between("number", parts[2], parts[3]), ref("number-in-a-text")},
		"whole number": {between("integer", parts[2], parts[3]), ref("number-in-a-text")},
		"size":         {textLike(`^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|TiB)$`)},
		"rate":         {textLike(`^[0-9]+(\.[0-9]+)? ?(bit|kbit|Mbit|Gbit)$`)},
		"time":         {textLike(`^[-+]?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$|^[-+]?0$`)},
	}[parts[1]]
	if parts[4] != "" {
		forms = append(forms, enum("unlimited"))
	}
	if kind == "ulimits" {
		value := &jsonschema.Schema{AnyOf: forms}
		forms = append(slices.Clone(forms), object(map[string]*jsonschema.Schema{"soft": value, "hard": value.CloneSchemas()}, "soft", "hard"))
	}
	return forms
}

// endpoint returns the schema of what a probe asks.
func (m schemaMaker) endpoint(test string) *jsonschema.Schema {
	about := func(text string, s *jsonschema.Schema) *jsonschema.Schema {
		s.Description = text
		return s
	}
	members := map[string]*jsonschema.Schema{"port": about("The port to test. A number, or the name of a publish or upstream block.", &jsonschema.Schema{AnyOf: []*jsonschema.Schema{between("integer", "1", "65535"), {Type: "string"}}})}
	switch test {
	case "grpc":
		members["service"] = about("The service. Without it the server's own health counts.", anyText())
	case "http":
		members["path"] = about("The path that is asked. Default: /", textLike("^(/|$)"))
		for line := range strings.Lines(m.section("The request of a probe")) {
			cells := strings.Split(line, "|")
			if len(cells) != 5 || !strings.HasPrefix(cells[1], " `") {
				continue
			}
			name, value, _ := strings.Cut(strings.Trim(cells[1], " `"), " = ")
			text := upperFirst(strings.TrimSuffix(plainText(strings.TrimSpace(cells[3])), ".")) + "."
			if text == "." {
				text = ""
			}
			text = strings.TrimSpace(text + " Default: " + plainText(strings.TrimSpace(cells[2])) + ".")
			switch {
			case name == "method":
				members[name] = about(text, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{enum(probeMethods...), ref("expression")}})
			case value == "true":
				members[name] = about(text, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "boolean"}, ref("boolean-in-a-text")}})
			case strings.HasPrefix(value, "{"):
				members[name] = about(text, &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "object", AdditionalProperties: &jsonschema.Schema{Types: []string{"string", "number", "boolean"}}}, ref("expression")}})
			default:
				members[name] = about(text, anyText())
			}
		}
	}
	return object(members, "port")
}

// attribute returns the schema of one attribute. null is as if it were not there.
func (m schemaMaker) attribute(kind string, r refRow) *jsonschema.Schema {
	s := &jsonschema.Schema{Description: r.about(), Default: r.value()}
	if forms := m.forms(kind, r); forms != nil {
		m.oneOfForms(s, append(forms, ref("null"))...)
	}
	return s
}

// oneOfForms makes a schema of several, for a value that has one of the forms. It has their types
// too: an editor begins a value with the first one.
func (m schemaMaker) oneOfForms(s *jsonschema.Schema, forms ...*jsonschema.Schema) {
	s.AnyOf = forms
	for _, form := range forms {
		if to, ok := strings.CutPrefix(form.Ref, "#/definitions/"); ok {
			form = m.defs[to]
		}
		for _, name := range append(slices.Clone(form.Types), form.Type) {
			switch {
			case name == "" || slices.Contains(s.Types, name) || name == "integer" && slices.Contains(s.Types, "number"):
			default:
				s.Types = append(s.Types, name)
			}
		}
	}
}

// rowsOf returns the rows of the attributes that a block of the kind has in its parent, by name.
func (m schemaMaker) rowsOf(parent, kind string) map[string]refRow {
	k, rows := kinds[kind], map[string]refRow{}
	if len(k.attrs) == 0 {
		return rows
	}
	title := kind
	if s, ok := sections[kind]; ok {
		title = s
	}
	all := tableRows(m.section(title))
	if title, ok := alone[kind]; ok {
		all = append(all, tableRows(m.section(title))...)
	}
	for _, r := range all {
		switch {
		case kind == "secret" && (r.table == 0) != (parent == "group"): // the first table is the group's
		case parent == "group" && kind == "resources" && strings.Contains(r.text+r.form, "not for the group"):
		default:
			rows[r.name] = r
		}
	}
	return rows
}

// oneOf are attributes and blocks that exclude each other. One of them has to be there. A group
// may have both.
var oneOf = map[string][]string{
	"probe":        {"http", "tcp", "grpc", "exec", "image"},
	"file":         {"source", "content"},
	"group.secret": {"file", "credential", "command"},
	"group":        {"egress", "ambassador"},
}

// needed are the blocks that a block always has.
var needed = map[string]string{fileKind: "group", "group": "app"}

// bodyName returns the name of the definition for what is in a block. Two kinds of blocks have
// other attributes in a group than in a container.
func bodyName(parent, kind string) string {
	if parent == "group" && (kind == "secret" || kind == "resources") {
		return "group." + kind
	}
	return kind
}

// body returns the schema of what is in a block.
func (m schemaMaker) body(parent, kind string) *jsonschema.Schema {
	k, rows := kinds[kind], m.rowsOf(parent, kind)
	s := &jsonschema.Schema{
		Type: "object", Properties: map[string]*jsonschema.Schema{}, PatternProperties: map[string]*jsonschema.Schema{"^//$": {}},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	add := func(name string, inner *jsonschema.Schema) {
		s.PropertyOrder = append(s.PropertyOrder, name)
		s.Properties[name] = inner
	}
	if k.anyAttr {
		s.AdditionalProperties = &jsonschema.Schema{}
	}
	if kind == fileKind {
		add(schemaKey, &jsonschema.Schema{Type: "string", Description: "Where editors find this schema."})
	}
	for _, name := range k.attrs {
		r, ok := rows[name]
		switch {
		case !ok:
			continue
		case slices.Contains(containerAttrs, name) && slices.Contains(containerKinds, kind):
			if m.defs["container."+name] == nil {
				m.defs["container."+name] = m.attribute(kind, r)
			}
			add(name, ref("container."+name))
		default:
			add(name, m.attribute(kind, r))
		}
		if r.isRequired() {
			s.Required = append(s.Required, name)
		}
	}
	if k.each {
		add(forEach, ref("for-each"))
	}
	for _, name := range k.blocks {
		add(name, m.block(kind, name))
	}
	if name, ok := needed[kind]; ok {
		s.Required = append(s.Required, name)
	}
	for _, name := range oneOf[bodyName(parent, kind)] {
		one := &jsonschema.Schema{Required: []string{name}}
		if kind == "group" {
			s.AnyOf = append(s.AnyOf, one)
		} else {
			s.OneOf = append(s.OneOf, one)
		}
	}
	return s
}

// labels are the patterns of labels, by the meaning that a kind has for its label. With for_each a
// name goes on behind the label.
var labels = map[string]string{
	"the variable's name":       `^[A-Za-z_].*$`,
	"the group's name":          `^([a-z0-9][-a-z0-9]{0,39})?$`,
	"the container's name":      `^([a-z0-9][-a-z0-9]{0,31})?$`,
	"the volume's name":         `^([a-z0-9][-a-z0-9]{0,31})?$`,
	"the upstream's name":       `^([a-z0-9][-a-z0-9]{0,31})?$`,
	"a name":                    `^([a-z0-9][-a-z0-9]{0,31})?$`,
	"the secret's name":         `^([A-Za-z0-9_][-A-Za-z0-9_.]{0,63})?$`,
	"the path in the container": `^(/|$)`,

	"the device's path on the host": `^/`,
}

// block returns the schema of the key that blocks of a kind have in their parent.
func (m schemaMaker) block(parent, kind string) *jsonschema.Schema {
	k, name := kinds[kind], bodyName(parent, kind)
	if m.defs[name] == nil {
		m.defs[name] = m.body(parent, kind)
	}
	one := func(name string, most int) *jsonschema.Schema {
		s := &jsonschema.Schema{}
		m.oneOfForms(s, ref(name), arrayOf(ref(name), 0, most), ref("null"))
		return s
	}
	s := one(name, 0)
	switch {
	case k.once:
		s = one(name, 1)
	case kind == "probe":
		bodies := map[string]*jsonschema.Schema{}
		for _, label := range probeKinds {
			bodies[label] = one(name, 0)
		}
		labelled := object(bodies)
		labelled.PatternProperties = map[string]*jsonschema.Schema{"^//$": {}}
		m.defs[name+".labels"] = labelled
		s = one(name+".labels", 0)
	case k.label != "":
		pattern, ok := labels[k.label]
		if !ok {
			m.t.Fatalf("there is no pattern for a label that is %s", k.label)
		}
		m.defs[name+".labels"] = &jsonschema.Schema{
			Type: "object", PropertyNames: &jsonschema.Schema{Pattern: "^//$|" + pattern},
			PatternProperties: map[string]*jsonschema.Schema{"^//$": {}}, AdditionalProperties: s,
		}
		s = one(name+".labels", 0)
	}
	s.Description = m.aboutBlock(kind)
	return s
}

// aboutBlock returns the first paragraph of the section about a kind of block.
func (m schemaMaker) aboutBlock(kind string) string {
	title := kind
	if s, ok := sections[kind]; ok {
		title = s
	}
	first, _, _ := strings.Cut(strings.TrimSpace(m.section(title)), "\n\n")
	return plainText(strings.Join(strings.Fields(first), " "))
}

// makeSchema returns the schema of a group file in JSON.
func makeSchema(t *testing.T) *jsonschema.Schema {
	prose, _ := readReference(t)
	m := schemaMaker{t, prose, map[string]string{}, map[string]*jsonschema.Schema{
		"expression":        {Type: "string", Pattern: computed},
		"number-in-a-text":  textLike(`^[-+]?[0-9.]+([eE][-+]?[0-9]+)?$`),
		"boolean-in-a-text": textLike(`^(true|false|1|0)$`),
		"null":              {Type: "null"},
		"for-each": {
			Description: "Makes one block for each key. A map, or a list of texts.",
			AnyOf:       []*jsonschema.Schema{{Type: "object"}, arrayOf(&jsonschema.Schema{Type: "string"}, 0, 0), ref("expression")},
		},
	}}
	s := m.body("", fileKind)
	s.Schema = "http://json-schema.org/draft-07/schema#"
	s.Title = "A group file of Sallyport in JSON"
	s.Description = "NAME.hcl.json. A text with ${...} in it is computed. Made by: sallyport schema"
	s.Definitions = m.defs
	return s
}
