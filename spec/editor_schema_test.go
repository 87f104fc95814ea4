package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
)

// The schema for editors is made of the kinds of blocks and of the tables of REFERENCE.md.
func TestGroupSchema(t *testing.T) {
	want, err := json.MarshalIndent(makeSchema(t), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile("group.schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(want, []byte(GroupSchema())) {
		t.Error("group.schema.json is not that of the language: go test ./spec -run TestGroupSchema -update writes it")
	}
}

// editorSchema returns the schema that is printed.
func editorSchema(t testing.TB) (s *jsonschema.Schema, resolved *jsonschema.Resolved) {
	t.Helper()
	s = &jsonschema.Schema{}
	if err := json.Unmarshal([]byte(GroupSchema()), s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, resolved
}

func validateText(resolved *jsonschema.Resolved, text []byte) error {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return err
	}
	return resolved.Validate(value)
}

// Each block of the schema has the attributes and the blocks that the decoder knows, and no others.
func TestGroupSchemaHasTheLanguage(t *testing.T) {
	s, _ := editorSchema(t)
	visited := map[string]bool{}
	var visit func(parent, kind string, body *jsonschema.Schema)
	visit = func(parent, kind string, body *jsonschema.Schema) {
		name := bodyName(parent, kind)
		if visited[name] {
			return
		}
		visited[name] = true
		k := kinds[kind]
		want := slices.Concat(k.attrs, k.blocks)
		switch name {
		case fileKind:
			want = append(want, schemaKey)
		case "group.secret":
			want = []string{"file", "credential", "command", "timeout"}
		case "secret":
			want = []string{"owner", "mode", "on_change", "reload"}
		case "group.resources":
			want = []string{"cpu", "memory", "swap", "pids", "io_weight"}
		}
		if k.each {
			want = append(want, forEach)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(body.Properties)); !slices.Equal(got, want) {
			t.Errorf("%s has %v, want %v", name, got, want)
		}
		if (body.AdditionalProperties.Not == nil) != k.anyAttr {
			t.Errorf("%s takes any name: %t", name, !k.anyAttr)
		}
		for _, inner := range k.blocks {
			to := strings.TrimPrefix(body.Properties[inner].AnyOf[0].Ref, "#/definitions/")
			if plain, labelled := strings.CutSuffix(to, ".labels"); labelled {
				if kinds[inner].label == "" {
					t.Errorf("%s has no label", inner)
				}
				to = plain
			}
			if to != bodyName(kind, inner) {
				t.Errorf("%s in %s is %s", inner, kind, to)
				continue
			}
			visit(kind, inner, s.Definitions[to])
		}
	}
	visit("", fileKind, s)
	for name := range kinds {
		if !visited[name] {
			t.Errorf("the schema has no %s", name)
		}
	}
}

// What is accepted in the native syntax is valid in JSON: the files of testdata, the examples, and
// those of the reference.
func TestGroupSchemaTakesGoodFiles(t *testing.T) {
	_, resolved := editorSchema(t)
	valid := func(t *testing.T, src Source) {
		text := asJSON(t, src.Bytes)
		if err := validateText(resolved, text); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	for _, path := range append(glob(t, "testdata/*.hcl"), glob(t, "../examples/*/*.hcl")...) {
		t.Run(filepath.Base(path), func(t *testing.T) { valid(t, load(t, path)) })
	}
	_, examples := readReference(t)
	for line, text := range examples {
		body, damage, _ := readNative("x.hcl", []byte(text), &report{})
		if body == nil || damage {
			t.Fatalf("line %d: no file in the native syntax", line)
		}
		t.Run(fmt.Sprintf("line %d", line), func(t *testing.T) {
			if text, ok := exampleFile(t, body, text); ok {
				valid(t, Source{Bytes: []byte(text)})
			}
		})
	}
}

// A file in JSON may have its blocks as objects and as lists, and names its schema.
func TestGroupSchemaTakesBothForms(t *testing.T) {
	_, resolved := editorSchema(t)
	for name, text := range map[string]string{
		"objects": `{"$schema": "./group.schema.json", "//": "x", "variable": {"tag": {"type": "list(string)", "default": ["a"]}}, "locals": {"a": {"b": [1]}}, "group": {"g": {"egress": "none", "app": {
			"web": {"image": "x:${var.tag[0]}", "probe": {"ready": {"tcp": {"port": 80}}, "//": 1}, "resources": {"memory": "64MiB"}}, "db": {"image": "y"}}}}}`,
		"lists": `{"locals": [{"a": 1}, {"b": 2}], "group": [{"g": [{"egress": "none", "app": [{"web": {"image": "x"}}, {"db": [{"image": "y", "resources": [{"pids": 20}]}]}]}]}]}`,
		"computed": `{"locals": {"on": true}, "group": {"g": {"egress": "${local.on ? \"none\" : \"direct\"}", "labels": "${{a = \"b\"}}", "app": {"": {"for_each": "${[\"a\"]}", "image": "x", "init": "${local.on}",
			"args": "${[\"a\"]}", "shm_size": "${1 + 1}MiB", "env": {"${each.key}": 1, "B": true}, "ulimits": {"nofile": {"soft": 64, "hard": "${100}"}}, "probe": {"live": {"http": {"port": 80, "headers": {"a": "b"}}, "failures": "${3}", "successes": null}}}}}}}`,
		"numbers in texts": `{"group": {"g": {"egress": "none", "app": {"web": {"image": "x", "user": 1000, "read_only": "true", "probe": {"live": {"tcp": {"port": "80"}, "failures": "3"}}}}}}}`,
		"a name":           `{"group": {"": {"name": "g", "egress": "none", "app": {"web": {"image": "x"}}, "volume": null}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			src := source("x.hcl.json", text)
			if _, diags := Parse(src); diags.HasErrors() {
				t.Errorf("not accepted:\n%s", printed(t, src, diags))
			}
			if err := validateText(resolved, []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// The mistakes of testdata that an editor sees are those in a list. All others need what a schema
// can't have: other blocks, files, computed values.
func TestGroupSchemaSeesMistakes(t *testing.T) {
	_, resolved := editorSchema(t)
	var list strings.Builder
	for _, path := range append(glob(t, "testdata/bad/*.hcl"), glob(t, "testdata/bad/*.hcl.json")...) {
		src := load(t, path)
		text := src.Bytes
		if !isJSON(path, text) {
			if body, damage, _ := readNative("x.hcl", text, &report{}); body == nil || damage {
				continue
			}
			text = asJSON(t, text)
		}
		seen := "not seen"
		if validateText(resolved, text) != nil {
			seen = "seen"
		}
		fmt.Fprintf(&list, "%s: %s\n", filepath.Base(path), seen)
	}
	golden(t, "testdata/group.schema.golden.txt", []byte(list.String()))
}

// probed are values that are put into each attribute. Lists and objects, but for one of each, are
// put where a schema has such a form.
var (
	probed = []string{
		`true`, `"true"`, `1`, `"1"`, `8080`, `0.5`, `"x"`, `"x:1"`, `"/p"`, `"64MiB"`, `"10s"`, `"2Mbit"`, `"0444"`, `"65532:65532"`, `"Europe/Berlin"`, `"192.0.2.1"`, `"10000-10100"`, `"HUP"`, `"0-3"`,
		`"30 2 * * *"`, `"a.example/b"`, `"/dev/ttyUSB0"`, `"/etc/sallyport/keys/vendor.pub"`, `"/etc/sallyport/web.sigstore.json"`, `"${var.v == \"x\"}"`, `null`, `"${1 + 1}"`, `["x"]`, `{"a": "b"}`,
	}
	probedLists   = []string{`[]`, `["NET_ADMIN"]`, `["KILL"]`, `["/p"]`, `["192.0.2.1"]`, `["192.0.2.0/24:443/tcp"]`, `["nvidia.com/gpu=0"]`, `["conf/web.env"]`, `["other"]`, `"${[\"x\"]}"`}
	probedObjects = []string{
		`{}`, `{"a": 1}`, `{"port": 80}`, `{"port": 80, "path": "/"}`, `{"port": 80, "service": "s"}`, `{"port": 80, "pth": "/"}`, `{"kernel.shmmax": 4096}`, `{"net.core.somaxconn": "64"}`,
		`{"kernel.panic": 1}`, `{"soft": 64, "hard": 65}`, `{"soft": 64}`,
	}
)

// besides has the attributes that another one needs beside it, by "BLOCK.ATTRIBUTE".
var besides = map[string]string{
	"resources.swap": `"memory": "64MiB"`, "group.resources.swap": `"memory": "64MiB"`, "group.secret.timeout": `"command": ["/x"]`,
	"probe.start_interval": `"start_period": "10s"`, "update.max_ends": `"health_timeout": "1m"`, "app.args": `"command": ["x"]`, "signed_by.bundle": `"key": "/etc/sallyport/keys/vendor.pub"`,
	"publish.port": `"host": "8080"`, "update.auto_revert": `"health_timeout": "1m"`,
}

// An editor takes each value of an attribute that the decoder takes, and both have the same bounds
// and the same words. Each attribute has values that the decoder takes.
func TestGroupSchemaAndDecoderAgree(t *testing.T) {
	s, resolved := editorSchema(t)
	checked := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.Definitions)) {
		write := wholeFile(name)
		if write == nil {
			continue
		}
		body := s.Definitions[name]
		for _, attr := range slices.Sorted(maps.Keys(body.Properties)) {
			if slices.Contains(kinds[strings.TrimPrefix(name, "group.")].blocks, attr) || attr == forEach {
				continue
			}
			if name != "app" && slices.Contains(containerKinds, name) && slices.Contains(containerAttrs, attr) {
				continue // as in an app
			}
			checked[attr] = true
			t.Run(name+"."+attr, func(t *testing.T) {
				checkAttribute(t, s, resolved, name, attr, write)
			})
		}
	}
	for name, k := range kinds {
		for _, attr := range k.attrs {
			if !checked[attr] {
				t.Errorf("%s of %s is not tried", attr, name)
			}
		}
	}
}

// checkAttribute puts values into one attribute. write makes a file of what stands in the block.
func checkAttribute(t *testing.T, s *jsonschema.Schema, resolved *jsonschema.Resolved, name, attr string, write func(attrs string) string) {
	def := s.Definitions[name].Properties[attr]
	if to, ok := strings.CutPrefix(def.Ref, "#/definitions/"); ok {
		def = s.Definitions[to]
	}
	if def.Description == "" {
		t.Error("no description")
	}
	editor := func(text []byte) bool { return validateText(resolved, text) == nil }
	// try reports whether the decoder takes a value, and returns the file and the mistakes.
	try := func(value string) (decoder bool, text []byte, detail string) {
		attrs := fmt.Sprintf("%q: %s", attr, value)
		if beside := besides[name+"."+attr]; beside != "" {
			attrs += ", " + beside
		}
		text = []byte(write(attrs))
		_, diags := Parse(source("x.hcl.json", string(text)))
		for _, d := range diags {
			detail += d.Detail + "\n"
		}
		return !diags.HasErrors(), text, detail
	}
	values, words, plain := slices.Clone(probed), []string{}, regexp.MustCompile(`^[a-z-]+$`)
	for _, form := range def.AnyOf {
		switch form.Type {
		case "array":
			values = append(values, probedLists...)
		case "object":
			values = append(values, probedObjects...)
		}
		for _, v := range form.Enum {
			if word, ok := v.(string); ok {
				words = append(words, word)
				values = append(values, fmt.Sprintf("%q", word))
			}
		}
		bound := func(at *float64, by float64) {
			if at == nil {
				return
			}
			for value, want := range map[float64]bool{*at: true, *at + by: false} {
				if decoder, text, detail := try(fmt.Sprintf("%.10g", value)); editor(text) != want || decoder != want {
					t.Errorf("%v: the editor takes it: %t, the decoder: %t, want %t\n%s", value, editor(text), decoder, want, detail)
				}
			}
		}
		step := 1.0
		if form.Type == "number" {
			step = 0.001
		}
		bound(form.Minimum, -step)
		bound(form.Maximum, step)
	}
	taken := 0
	for _, value := range values {
		decoder, text, _ := try(value)
		if decoder && value != "null" {
			taken++
		}
		if decoder && value != "true" && !editor(text) { // true is no text, but becomes one
			t.Errorf("the decoder takes %s, and an editor does not", value)
		}
	}
	if taken == 0 {
		t.Error("the decoder takes none of the values, so this test shows nothing")
	}
	if len(words) == 0 || slices.Contains(words, "unlimited") {
		return
	}
	_, _, detail := try(`"?"`)
	for _, word := range quoted(detail) {
		if plain.MatchString(word) && word != "?" && word != attr && !slices.Contains(words, word) {
			t.Errorf("the decoder knows the word %q, and the schema does not:\n%s", word, detail)
		}
	}
}

// wholeFile returns what makes a file in JSON of the attributes in a block. nil: the definition is
// of no block.
func wholeFile(name string) func(attrs string) string {
	const other = `"sidecar": {"other": {"image": "x:1"}}`
	const door = `"ambassador": {"door": {"image": "x:1", %s}}`
	join := func(attrs, name, value string) string {
		if strings.HasPrefix(attrs, fmt.Sprintf("%q:", name)) || strings.Contains(attrs, fmt.Sprintf(", %q:", name)) {
			return attrs
		}
		return attrs + fmt.Sprintf(", %q: %s", name, value)
	}
	file := func(text string) string { return fmt.Sprintf(`{"group": {"g": {%s}}}`, text) }
	sealed := func(text string) string {
		return file(`"egress": "none", "app": {"web": {"image": "x:1"}}, ` + other + ", " + text)
	}
	inApp := func(text string) string {
		return file(`"egress": "none", "app": {"web": {"image": "x:1", ` + text + `}, "other": {"image": "x:1"}}, "volume": {"v": {}}, "secret": {"s": {"file": "/x"}}`)
	}
	inDoor := func(text string) string {
		return file(`"app": {"web": {"image": "x:1"}}, ` + fmt.Sprintf(door, text))
	}
	app := func(open, end string) func(string) string {
		return func(attrs string) string { return inApp(open + attrs + end) }
	}
	group := func(open, end string) func(string) string {
		return func(attrs string) string { return sealed(open + attrs + end) }
	}
	ambassador := func(open, end string) func(string) string {
		return func(attrs string) string { return inDoor(open + attrs + end) }
	}
	with := func(name, value string, write func(string) string) func(string) string {
		return func(attrs string) string { return write(join(attrs, name, value)) }
	}
	switch name {
	case "variable":
		return func(attrs string) string {
			return fmt.Sprintf(`{"variable": {"v": {%s}}, "group": {"g": {"egress": "none", "app": {"web": {"image": "x:1"}}}}}`, join(attrs, "default", `"x"`))
		}
	case "validation":
		return func(attrs string) string {
			attrs = join(join(attrs, "condition", `"${var.v == \"x\"}"`), "error_message", `"no"`)
			return fmt.Sprintf(`{"variable": {"v": {"default": "x", "validation": {%s}}}, "group": {"g": {"egress": "none", "app": {"web": {"image": "x:1"}}}}}`, attrs)
		}
	case "group":
		return func(attrs string) string {
			if strings.HasPrefix(attrs, `"name"`) {
				return fmt.Sprintf(`{"group": {"": {%s, "egress": "none", "app": {"web": {"image": "x:1"}}}}}`, attrs)
			}
			app := `{"image": "x:1"}`
			if strings.HasPrefix(attrs, `"timeout"`) {
				app = `{"image": "x:1", "restart": {"policy": "never"}}`
			}
			if strings.Contains(attrs, `"ambassador"`) {
				attrs += fmt.Sprintf(", "+door, `"user": 1`)
			} else {
				attrs = join(attrs, "egress", `"none"`)
			}
			return file(attrs + `, "app": {"web": ` + app + `}`)
		}
	case "app":
		return func(attrs string) string {
			rest := `, "restart": {"policy": "on-failure"}`
			if strings.HasPrefix(attrs, `"image"`) {
				return file(`"egress": "none", "app": {"web": {` + attrs + rest + `}}`)
			}
			return inApp(attrs + rest)
		}
	case "sidecar":
		return func(attrs string) string {
			return file(`"egress": "none", "app": {"web": {"image": "x:1"}}, "sidecar": {"a": {"image": "x:1", ` + attrs + `}, "other": {"image": "x:1"}}`)
		}
	case "ambassador":
		return inDoor
	case "signed_by":
		return with("key", `"/etc/sallyport/keys/vendor.pub"`, app(`"signed_by": {`, `}`))
	case "mount":
		return with("path", `"/m"`, app(`"mount": {"v": {`, `}}`))
	case "tmpfs":
		return app(`"tmpfs": {"/t": {`, `}}`)
	case "file":
		return func(attrs string) string {
			if !strings.HasPrefix(attrs, `"source"`) {
				attrs = join(attrs, "content", `"x"`)
			}
			return inApp(`"file": {"/f": {` + attrs + `}}`)
		}
	case "secret":
		return app(`"secret": {"s": {`, `}}`)
	case "group.secret":
		return func(attrs string) string {
			if strings.HasPrefix(attrs, `"owner"`) || strings.HasPrefix(attrs, `"mode"`) {
				attrs = join(attrs, "file", `"/x"`)
			}
			return sealed(`"secret": {"s": {` + attrs + `}}`)
		}
	case "device":
		return app(`"device": {"/dev/ttyUSB0": {`, `}}`)
	case "probe":
		return func(attrs string) string {
			first, _, _ := strings.Cut(strings.Trim(attrs, `"`), `"`)
			if !slices.Contains(oneOf["probe"], first) {
				attrs = join(attrs, "tcp", `{"port": 80}`)
			}
			return inApp(`"probe": {"ready": {` + attrs + `}}`)
		}
	case "resources", "restart", "ulimits", "stop", "output":
		return app(`"`+name+`": {`, `}`)
	case "group.resources":
		return group(`"resources": {`, `}`)
	case "output_of":
		return func(attrs string) string {
			return file(`"egress": "none", "app": {"web": {"image": "x:1"}}, "sidecar": {"a": {"image": "x:1", "output_of": {` + attrs + `}}}`)
		}
	case "network", "update":
		return group(`"`+name+`": {`, `}`)
	case "dns":
		return func(attrs string) string {
			return file(`"app": {"web": {"image": "x:1"}}, ` + fmt.Sprintf(door, `"user": 1`) + `, "network": {"dns": {` + attrs + `}}`)
		}
	case "schedule":
		return func(attrs string) string {
			return file(`"egress": "none", "app": {"web": {"image": "x:1"}}, "schedule": {` + join(attrs, "cron", `"30 2 * * *"`) + `}`)
		}
	case "volume":
		return group(`"volume": {"v": {`, `}}`)
	case "upstream":
		return with("listen", "9001", ambassador(`"upstream": {"u": {`, `}}`))
	case "publish":
		return func(attrs string) string {
			return inDoor(`"publish": {"p": {` + join(join(attrs, "host", "8443"), "port", "8443") + `}}`)
		}
	case "intercept", "unsafe", "rate":
		return ambassador(`"`+name+`": {`, `}`)
	}
	return nil
}

// Every block with attributes is tried.
func TestWholeFiles(t *testing.T) {
	for name, k := range kinds {
		if len(k.attrs) > 0 && name != "init" && wholeFile(name) == nil { // an init has what an app has
			t.Errorf("there is no file with the attributes of %s", name)
		}
	}
}

// A file names its schema at the top, as a text.
func TestSchemaKey(t *testing.T) {
	for value, want := range map[string]string{`"./x.json"`: "", `"https://example.com/x.json"`: "", `1`: "is a text", `null`: "is a text", `{}`: "is a text"} {
		_, diags := Parse(source("x.hcl.json", `{"$schema": `+value+`, "group": {"g": {"egress": "none", "app": {"web": {"image": "x"}}}}}`))
		if text := OneLine(diags); diags.HasErrors() != (want != "") || !strings.Contains(text, want) {
			t.Errorf("%s: %s", value, text)
		}
	}
	_, diags := Parse(source("x.hcl.json", `{"group": {"g": {"$schema": "x", "egress": "none", "app": {"web": {"image": "x"}}}}}`))
	if text := OneLine(diags); len(diags) != 1 || !strings.Contains(text, "at the top of the file alone") || !strings.HasPrefix(text, "x.hcl.json:1:18:") {
		t.Errorf("in a group: %s", text)
	}
}
