package spec

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"
)

// asJSON returns a file of the native syntax in JSON, as a program writes it: each type of
// block has a list with one object for each block.
func asJSON(t testing.TB, src []byte) []byte {
	t.Helper()
	body, damage, _ := readNative("x.hcl", src, &report{})
	if body == nil || damage {
		t.Fatal("no file in the native syntax")
	}
	text, err := json.MarshalIndent(jsonOfBody(t, fileKind, src, body), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func jsonOfBody(t testing.TB, kind string, src []byte, body *hclsyntax.Body) map[string]any {
	t.Helper()
	object := map[string]any{"//": "a comment"}
	for name, attr := range body.Attributes {
		if kind == "variable" && name == "type" {
			object[name] = string(attr.Expr.Range().SliceBytes(src))
			continue
		}
		object[name] = jsonOfExpr(t, src, attr.Expr)
	}
	for _, b := range body.Blocks {
		inner := any(jsonOfBody(t, b.Type, src, b.Body))
		if kinds[b.Type].label != "" {
			name, _ := label(b)
			inner = map[string]any{name: inner}
		}
		all, _ := object[b.Type].([]any)
		object[b.Type] = append(all, inner)
	}
	return object
}

func jsonOfExpr(t testing.TB, src []byte, expr hclsyntax.Expression) any {
	t.Helper()
	source := func(e hclsyntax.Expression) string { return string(e.Range().SliceBytes(src)) }
	switch e := expr.(type) {
	case *hclsyntax.TupleConsExpr:
		list := []any{}
		for _, inner := range e.Exprs {
			list = append(list, jsonOfExpr(t, src, inner))
		}
		return list
	case *hclsyntax.ObjectConsExpr:
		object := map[string]any{}
		for _, item := range e.Items {
			key, ok := literalKey(item.KeyExpr)
			if text := source(item.KeyExpr); !ok {
				key = strings.Trim(text, `"`) // a template
				if key == text {
					key = "${" + text + "}"
				}
			}
			object[key] = jsonOfExpr(t, src, item.ValueExpr)
		}
		return object
	case *hclsyntax.LiteralValueExpr:
		text, err := ctyjson.Marshal(e.Val, e.Val.Type())
		if err != nil {
			t.Fatal(err)
		}
		return json.RawMessage(text)
	case *hclsyntax.TemplateExpr:
		if e.IsStringLiteral() {
			v, _ := e.Value(nil)
			return strings.NewReplacer("${", "$${", "%{", "%%{").Replace(v.AsString())
		}
	}
	return "${" + source(expr) + "\n}" // a line ends a heredoc
}

// A group file in JSON is the same group, down to its digest, as the one in the native syntax.
func TestJSONIsAsNative(t *testing.T) {
	for _, path := range append(glob(t, "testdata/*.hcl"), glob(t, "../examples/*/*.hcl")...) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := load(t, path)
			src.ReadFile = func(name string) ([]byte, error) {
				if content, err := readTestFile(name); err == nil || !strings.Contains(path, "examples") {
					return content, err
				}
				return []byte("x"), nil
			}
			want, diags := Parse(src)
			if diags.HasErrors() {
				t.Skipf("not valid alone:\n%s", printed(t, src, diags))
			}
			native := src.Bytes
			src.Name, src.Bytes = "x.hcl.json", asJSON(t, native)
			got, diags := Parse(src)
			if diags.HasErrors() {
				t.Fatalf("refused:\n%s\n%s", printed(t, src, diags), src.Bytes)
			}
			byName := cmpopts.SortSlices(func(a, b Group) bool { return a.Name < b.Name }) // a label in a list has no order with others
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Group{}, "Pos"), byName); diff != "" {
				t.Errorf("in JSON (-native +JSON):\n%s\n%s", diff, src.Bytes)
			}
			if got, want := Variables(src.Bytes), Variables(native); !slices.Equal(got, want) {
				t.Errorf("variables %v, want %v", got, want)
			}
			if diff := cmp.Diff(SensitiveParts(native), SensitiveParts(src.Bytes)); diff != "" {
				t.Errorf("sensitive parts (-native +JSON):\n%s", diff)
			}
		})
	}
}

func TestGoldenMistakesInJSON(t *testing.T) {
	for _, path := range glob(t, "testdata/bad/*.hcl.json") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src := load(t, path)
			_, diags := Parse(src)
			if len(diags) == 0 {
				t.Fatal("accepted")
			}
			golden(t, strings.TrimSuffix(path, ".hcl.json")+".golden.txt", []byte(printed(t, src, diags)))
		})
	}
}

// However a text in JSON is written, a mistake in it has the place of its characters, and what is
// hidden of it is all of it.
func TestJSONWithEscapes(t *testing.T) {
	const text = `{
  "variable": {"token": {"sensitive": true, "default": "\u0068unter\n\"2\"\\", "type": "\u0073tring"}},
  "group": {"g": {"egress": "none", "app": {"web": {
    "image": "registry.example/web:1",
    "env": {"A": "\n\t\"\u00e9\uD83D\uDE00 ${nothing.here}", "TOKEN": "a\n\"b\" ${var.token}"}
  }}}}
}`
	src := source("x.hcl.json", text)
	_, diags := Parse(src)
	if len(diags) != 1 {
		t.Fatal(printed(t, src, diags))
	}
	at := diags[0].Subject
	if got := string(at.SliceBytes(src.Bytes)); got != "nothing.here" || at.Start.Line != 5 {
		t.Errorf("the mistake is at %v: %q", at, got)
	}
	if line := strings.Split(text, "\n")[4]; string([]rune(line)[at.Start.Column-1:at.End.Column-1]) != "nothing.here" {
		t.Errorf("the columns are %d to %d", at.Start.Column, at.End.Column)
	}
	masked, ok := Masked(src.Bytes, SensitiveParts(src.Bytes), "*")
	if !ok {
		t.Fatal("not masked")
	}
	for _, part := range []string{"unter", "2", `\"b`, `"a\n`} {
		if bytes.Contains(bytes.ReplaceAll(masked, []byte("1\""), nil), []byte(part)) {
			t.Errorf("%q is shown:\n%s", part, masked)
		}
	}
}

func TestIsJSON(t *testing.T) {
	for text, want := range map[string]bool{"{}": true, " \r\n\t{": true, "": false, "group \"a\" {}": false, "# {\n": false} {
		if got := isJSON("x.hcl", []byte(text)); got != want {
			t.Errorf("isJSON(%q) = %v", text, got)
		}
	}
	if !isJSON("x.hcl.json", nil) {
		t.Error("x.hcl.json is none")
	}
}

// What would take too long or too much is refused with its place.
func TestJSONBounds(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"brackets":         {`{"a": ` + strings.Repeat("[", 5000), "x.json:1:"},
		"brackets, closed": {`{"a": ` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "x.json:1:"},
		"objects":          {"{\n" + strings.Repeat(`{"a":`, 5000), "x.json:2:"},
		"number":           {"{\n" + ` "locals": {"a": 1e999999999}}`, "x.json:2:18"},
		"templates":        {"{\n" + ` "locals": {"a": "` + strings.Repeat(`\u0024{[`, 500) + `"}}`, "x.json:2:18"},
		"size":             {`{"//": "` + strings.Repeat("x", MaxGroupFile) + `"}`, "x.json:1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			src := source("x.json", tt.text)
			_, diags := Parse(src)
			if text := OneLine(diags); len(diags) != 1 || !strings.HasPrefix(text, tt.want) || !strings.Contains(text, "This file can't be read") {
				t.Errorf("%d mistakes: %s", len(diags), text)
			}
			Variables(src.Bytes)
		})
	}
}

// A number keeps all its digits.
func TestJSONNumbers(t *testing.T) {
	c := jsonConverter{&report{}}
	body, diags := jsonBody("x.json", []byte(`{"locals": {"a": 9007199254740993.5}}`))
	if diags.HasErrors() || c.hasErrors() {
		t.Fatal(diags)
	}
	v, _ := blocksOf(body, "locals")[0].Body.Attributes["a"].Expr.Value(nil)
	if want := cty.MustParseNumberVal("9007199254740993.5"); v.Equals(want).False() {
		t.Errorf("the number is %s", v.AsBigFloat().Text('f', 3))
	}
}
