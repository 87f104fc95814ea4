package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/host"
)

// schemas is the folder of the schemas, one for each thing that a verb prints with --json.
const schemas = "../../docs/schemas"

type documented struct {
	name, title string
	value       any
	lines       bool
}

// outputs are the values that verbs print with --json. The name is that of the verb, and of the
// schema. What has lines is printed as one value on each line.
var outputs = []documented{
	{"apply", "What apply did: its groups, in the order of the files.", []change{}, false},
	{"cp", "What cp has copied.", copied{}, false},
	{"denials", "A line of denials: the sum of one container's refusals at one destination. With --follow, each line is an event.", refusal{}, true},
	{"df", "What takes the room on the disks.", host.Usage{}, false},
	{"diff", "What differs between two generations of a group.", group.Comparison{}, false},
	{"doctor", "The checks of doctor.", []result{}, false},
	{"error", "What any verb prints instead of its result, and a stream as its last line, when it fails.", noResult{}, true},
	{"events", "A line of events.", group.Event{}, true},
	{"history", "The generations of a group, the newest first.", []group.Generation{}, false},
	{"history-file", "What a generation was made from: history --file N.", group.Bundle{}, false},
	{"images", "The images on the host.", host.Images{}, false},
	{"images-load", "The images that images load has loaded.", host.LoadedImages{}, false},
	{"images-prune", "The images that images prune or rm has removed, or would remove.", []host.ImageRemoval{}, false},
	{"lock", "The lock files, one for each folder.", []lockedFile{}, false},
	{"login", "The login that was stored.", host.LoggedIn{}, false},
	{"logout", "The login that was removed.", host.LoggedOut{}, false},
	{"logs", "A line of logs.", jsonLine{}, true},
	{"logs-removed", "The output that is kept of removed groups: logs --removed without a group.", []api.RemovedOutput{}, false},
	{"plan", "What apply would do to each group.", []group.Preview{}, false},
	{"port-forward", "What is forwarded, until the command ends.", api.ForwardRequest{}, false},
	{"ps", "The groups.", []group.Status{}, false},
	{"pull", "What pull did: one object for each argument.", []pulled{}, false},
	{"restart", "What restart did: one object for each argument.", []change{}, false},
	{"rm", "What rm did: one object for each group.", []change{}, false},
	{"rollback", "What rollback did.", change{}, false},
	{"run", "What became of a run.", runResult{}, false},
	{"run-detached", "A run that was left to the daemon: run --detach.", group.Run{}, false},
	{"run-ls", "The runs that wait, go on and are over, the oldest first.", []group.Run{}, false},
	{"signal", "The signal that was sent.", api.SentSignal{}, false},
	{"start", "What start did: one object for each group.", []change{}, false},
	{"status", "A group.", group.Status{}, false},
	{"stop", "What stop did: one object for each group.", []change{}, false},
	{"validate", "What validate found.", validation{}, false},
	{"version", "The versions of the command and of the daemon.", versions{}, false},
	{"wait", "The end of a job.", endedJob{}, false},
}

// A schema for each output is in docs/schemas, and is made from the type and the comments of its
// fields.
func TestSchemas(t *testing.T) {
	comments := fieldComments(t)
	known := map[string]bool{}
	for _, o := range outputs {
		known[o.name+".json"] = true
		s := schemaOf(t, o.value)
		describe(s, reflect.TypeOf(o.value), comments)
		s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", o.title
		open(s)
		want, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, '\n')
		path := filepath.Join(schemas, o.name+".json")
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if diff := cmp.Diff(string(want), string(got)); err != nil || diff != "" {
			t.Errorf("%s is not that of the type: go test ./cmd/sallyport -run TestSchemas -update writes it: %v (-want +got)\n%s", path, err, diff)
		}
	}
	files, err := os.ReadDir(schemas)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("%s/%s is the schema of nothing", schemas, f.Name())
		}
	}
	for _, verb := range newParser(&cli{}).Model.Children {
		for _, f := range verb.Flags {
			if f.Name == "json" && !known[verb.Name+".json"] {
				t.Errorf("%s takes --json and has no schema", verb.Name)
			}
		}
	}
}

// Names are in snake case, and no size or length of time is in another unit than the others.
func TestSchemaNames(t *testing.T) {
	plain := regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	for _, o := range outputs {
		walk(schemaOf(t, o.value), reflect.TypeOf(o.value), func(name string, s *jsonschema.Schema, typ reflect.Type) {
			if name != "" && !plain.MatchString(name) {
				t.Errorf("%s: the name %q", o.name, name)
			}
			if typ == reflect.TypeFor[time.Duration]() {
				t.Errorf("%s: %q is a length of time in nanoseconds: use seconds", o.name, name)
			}
		})
	}
}

// schemaOf returns the schema of a value, in which no field is allowed that the type does not have.
func schemaOf(t testing.TB, value any) *jsonschema.Schema {
	text := &jsonschema.Schema{Type: "string"}
	s, err := jsonschema.ForType(reflect.TypeOf(value), &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[time.Time]():      {Type: "string", Format: "date-time"},
		reflect.TypeFor[netip.AddrPort](): text, reflect.TypeFor[netip.Addr](): text,
		reflect.TypeFor[[]byte](): {Type: "string", ContentEncoding: "base64"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	notNull(s)
	walk(s, nil, func(_ string, s *jsonschema.Schema, _ reflect.Type) {
		for _, name := range s.PropertyOrder {
			if !slices.Contains(s.Required, name) { // it is left out instead
				notNull(s.Properties[name])
			}
		}
	})
	return s
}

// notNull takes null out of the types, which the library has for each slice and pointer.
func notNull(s *jsonschema.Schema) {
	if len(s.Types) == 2 && s.Types[0] == "null" {
		s.Type, s.Types = s.Types[1], nil
	}
}

// open allows further fields, which a later version may have.
func open(s *jsonschema.Schema) {
	walk(s, nil, func(_ string, s *jsonschema.Schema, _ reflect.Type) {
		if s.Properties != nil {
			s.AdditionalProperties = nil
		}
	})
}

// walk visits a schema and those in it, with their types. A nil type stays nil.
func walk(s *jsonschema.Schema, typ reflect.Type, visit func(name string, s *jsonschema.Schema, typ reflect.Type)) {
	var below func(name string, s *jsonschema.Schema, typ reflect.Type)
	below = func(name string, s *jsonschema.Schema, typ reflect.Type) {
		for typ != nil && typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		visit(name, s, typ)
		elem := func() reflect.Type {
			if typ == nil {
				return nil
			}
			return typ.Elem()
		}
		if s.Items != nil {
			below("", s.Items, elem())
		}
		if s.Properties == nil && s.AdditionalProperties != nil {
			below("", s.AdditionalProperties, elem())
		}
		for _, name := range s.PropertyOrder {
			var field reflect.Type
			if typ != nil {
				field = fieldNamed(typ, name).Type
			}
			below(name, s.Properties[name], field)
		}
	}
	below("", s, typ)
}

// fieldNamed returns the field of a struct that has this name in JSON.
func fieldNamed(typ reflect.Type, name string) reflect.StructField {
	fields := reflect.VisibleFields(typ)
	i := slices.IndexFunc(fields, func(f reflect.StructField) bool {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return tag == name
	})
	return fields[i]
}

// describe gives the comments of fields to their schemas.
func describe(s *jsonschema.Schema, typ reflect.Type, comments map[string]string) {
	walk(s, typ, func(_ string, s *jsonschema.Schema, typ reflect.Type) {
		if typ.Kind() != reflect.Struct {
			return
		}
		for _, name := range s.PropertyOrder {
			f := fieldNamed(typ, name)
			owner := typ
			for _, i := range f.Index[:len(f.Index)-1] { // an embedded struct has the field
				if owner = owner.Field(i).Type; owner.Kind() == reflect.Pointer {
					owner = owner.Elem()
				}
			}
			s.Properties[name].Description = comments[owner.Name()+"."+f.Name]
		}
	})
}

// fieldComments returns the comments of the fields of all structs, by "Type.Field". The packages of
// the outputs have no two exported types of one name.
func fieldComments(t *testing.T) map[string]string {
	comments := map[string]string{}
	for _, dir := range []string{".", "../../shim/api", "../../shim/group", "../../shim/host", "../../spec"} {
		names, err := fs.Glob(os.DirFS(dir), "*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				fields, ok := spec.Type.(*ast.StructType)
				if !ok {
					return true
				}
				for _, f := range fields.Fields.List {
					text := f.Doc.Text()
					if text == "" {
						text = f.Comment.Text()
					}
					for _, name := range f.Names {
						comments[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
				return true
			})
		}
	}
	return comments
}

// asJSON runs a command: "json SCHEMA STATUS ARGUMENTS...". Its standard output has to be what the
// schema describes, without any other field, and goes into the file output, in which what a clock
// has made is 0.
func asJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: json SCHEMA STATUS ARGUMENTS...")
	}
	err := ts.Exec("sallyport", args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(got) != args[1] {
		ts.Fatalf("exit status %d, want %s", got, args[1])
	}
	out := ts.ReadFile("stdout")
	i := slices.IndexFunc(outputs, func(o documented) bool { return o.name == args[0] })
	if i < 0 {
		ts.Fatalf("no schema %q", args[0])
	}
	strict, err := schemaOf(nil, outputs[i].value).Resolve(nil)
	ts.Check(err)
	text, err := os.ReadFile(filepath.Join(ts.Getenv("SCHEMAS"), args[0]+".json"))
	ts.Check(err)
	var written jsonschema.Schema
	ts.Check(json.Unmarshal(text, &written))
	public, err := written.Resolve(nil)
	ts.Check(err)
	n := 0
	for dec := json.NewDecoder(strings.NewReader(out)); dec.More(); n++ {
		var value any
		ts.Check(dec.Decode(&value))
		ts.Check(strict.Validate(value))
		ts.Check(public.Validate(value))
		checkTimes(ts, timeNames(outputs[i].value), value)
	}
	if n == 0 || n > 1 && !outputs[i].lines || outputs[i].lines && n != strings.Count(out, "\n") {
		ts.Fatalf("%d values of JSON:\n%s", n, out)
	}
	ts.Check(os.WriteFile(ts.MkAbs("output"), clocked.ReplaceAll([]byte(out), []byte("${1}0")), 0o644))
}

// clocked matches what differs from one run to the next.
var clocked = regexp.MustCompile(`("seconds": ?)[0-9.e-]+`)

// timeNames are the names of a value's times.
func timeNames(value any) (names []string) {
	walk(schemaOf(nil, value), nil, func(name string, s *jsonschema.Schema, _ reflect.Type) {
		if s.Format == "date-time" {
			names = append(names, name)
		}
	})
	return names
}

// checkTimes expects RFC 3339 where a name is that of a time.
func checkTimes(ts *testscript.TestScript, names []string, value any) {
	switch v := value.(type) {
	case []any:
		for _, item := range v {
			checkTimes(ts, names, item)
		}
	case map[string]any:
		for name, item := range v {
			if slices.Contains(names, name) {
				_, err := time.Parse(time.RFC3339Nano, item.(string))
				ts.Check(err)
			}
			checkTimes(ts, names, item)
		}
	}
}

// A schema refuses what it does not describe, or it would describe nothing.
func TestSchemasRefuse(t *testing.T) {
	strict, err := schemaOf(t, []change{}).Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for text, valid := range map[string]bool{
		`[{"group":"shop","state":"running","seconds":0.2}]`: true, `[]`: true,
		`[{"group":"shop","state":"running"}]`: false, `[{"group":1,"seconds":1}]`: false, `[{"group":"shop","seconds":1,"more":2}]`: false, `{"error":"x"}`: false,
	} {
		var value any
		if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&value); err != nil {
			t.Fatal(err)
		}
		if err := strict.Validate(value); (err == nil) != valid {
			t.Errorf("%s: %v", text, err)
		}
	}
}
