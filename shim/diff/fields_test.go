package diff_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/spec"
)

// notCompared are the fields that no comparison sees, and why. All others are.
var notCompared = map[string]string{
	"Group.Name":                     "the groups that are compared have one name",
	"Group.Digest":                   "follows from the other fields",
	"Group.Pos.File":                 "where the group is written",
	"Group.Pos.Line":                 "where the group is written",
	"Group.Pos.Column":               "where the group is written",
	"Group.Variables.Name":           "another variable is no other value",
	"Group.Variables.Default":        "the value counts, and not where it is from",
	"Group.Variables.Sensitive":      "hides values, and is none",
	"Group.Sensitive":                "hides values, and is none",
	"Group.Containers.Digest":        "follows from the other fields",
	"Group.Containers.Files.Sum":     "follows from the contents",
	"Group.Containers.Files.Secrets": "follows from the contents",
}

// filled returns a group in which no field is zero.
func filled() *spec.Group {
	g := &spec.Group{}
	fill(reflect.ValueOf(g).Elem())
	g.Containers[0].Role = spec.Init
	g.Variables[0].Sensitive = false
	return g
}

func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	default:
		change(v)
	}
}

// change gives another value to what is no list and no struct.
func change(v reflect.Value) {
	switch {
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "a")
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.CanInt():
		v.SetInt(v.Int() + int64(time.Second))
	case v.CanUint():
		v.SetUint(v.Uint() + 1)
	case v.CanFloat():
		v.SetFloat(v.Float() + 1)
	default:
		panic("a kind of field that the test does not know: " + v.Kind().String())
	}
}

// eachField calls check after every change of a single field.
func eachField(v reflect.Value, path string, check func(path string)) {
	switch v.Kind() {
	case reflect.Pointer:
		eachField(v.Elem(), path, check)
	case reflect.Struct:
		for i := range v.NumField() {
			name := path + "." + v.Type().Field(i).Name
			if v.Type().Field(i).Anonymous {
				name = path
			}
			eachField(v.Field(i), name, check)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			eachField(v.Index(0), path, check)
			return
		}
		was := reflect.ValueOf(v.Interface())
		more := reflect.MakeSlice(v.Type(), 2, 2)
		reflect.Copy(more, was)
		v.Set(more)
		check(path)
		v.Set(was)
	case reflect.Map:
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("other"))
		check(path)
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	default:
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		change(v)
		check(path)
		v.Set(was)
	}
}

// A change of any field of a definition is told, but for those in the list.
func TestEveryFieldIsCompared(t *testing.T) {
	base, g := filled(), filled()
	seen := map[string]bool{}
	eachField(reflect.ValueOf(g).Elem(), "Group", func(path string) {
		if path == "Group.Variables.Value" { // a list of bytes that is JSON, and stands alone
			g.Variables[0].Value, g.Variables[0].Sum = json.RawMessage("1"), ""
			defer func() { g.Variables[0].Sum = "a" }()
		}
		seen[path] = true
		changes := diff.Groups(base, g)
		_, listed := notCompared[path]
		switch {
		case listed && len(changes) > 0:
			t.Errorf("%s is in the list of what is not compared, and makes a change: %v", path, changes)
		case !listed && len(changes) == 0:
			t.Errorf("%s makes no change: compare it, or add it to the list with the reason", path)
		}
	})
	for path := range notCompared {
		if !seen[path] {
			t.Errorf("the list has %s, and there is no such field", path)
		}
	}
	if len(seen) < 80 {
		t.Errorf("only %d fields were found", len(seen))
	}
}

// What is hidden is in no part of a change.
func TestSensitiveValuesAreHidden(t *testing.T) {
	const secret = "s3cret"
	file := func(env, args, command, content string) string {
		return `
variable "token" {
  default   = "` + secret + `"
  sensitive = true
}
variable "plain" { default = "` + secret + `-old" }
group "g" {
  egress = "none"
  app "web" {
    image = "web:1"
    ` + env + `
    ` + args + `
    ` + command + `
    ` + content + `
  }
}
`
	}
	sensitive := []string{
		`env = { A = var.token, LEVEL = "info" }`, `args = ["x", base64encode(var.token)]`, `command = [format("%s!", var.token)]`,
		`file "/etc/x.content" { content = "` + strings.Repeat(`line\n`, 7) + `${var.token}" }`,
	}
	computed := slices.Clone(sensitive)
	computed[0] = `env = merge({ "B.C" = "` + secret + `" }, { A = var.token })`
	literal := []string{
		`env = { A = "` + secret + `2", LEVEL = "debug" }`, `args = ["` + secret + `"]`, `command = ["` + secret + `"]`,
		`file "/etc/x.content" { content = "` + secret + `\nx" }`,
	}
	without := []string{`env = { LEVEL = "debug" }`, "", "", ""}
	for _, tt := range []struct {
		name        string
		before, now []string
		want        string
	}{
		{"it was in the file", literal, sensitive, `web: command: (sensitive) -> (sensitive)
web: args: (sensitive) -> (sensitive)
web: env.A: (sensitive) -> (sensitive)
web: env.LEVEL: "debug" -> "info"
web: file /etc/x.content.content: (sensitive) -> (sensitive)
`},
		{"it is in the file again", sensitive, literal, `web: command: (sensitive) -> (sensitive)
web: args: (sensitive) -> (sensitive)
web: env.A: (sensitive) -> (sensitive)
web: env.LEVEL: "info" -> "debug"
web: file /etc/x.content.content: (sensitive) -> (sensitive)
`},
		{"it comes", without, sensitive, `web: command: none -> (sensitive)
web: args: none -> (sensitive)
web: env.A: none -> (sensitive)
web: env.LEVEL: "debug" -> "info"
web: file /etc/x.content: added: content (sensitive)
`},
		{"it goes", sensitive, without, `web: env.LEVEL: "info" -> "debug"
web: command: (sensitive) -> none
web: args: (sensitive) -> none
web: env.A: (sensitive) -> none
web: file /etc/x.content: removed: content (sensitive)
`},
		{"names that are computed beside it", literal, computed, `web: command: (sensitive) -> (sensitive)
web: args: (sensitive) -> (sensitive)
web: env: (sensitive) -> (sensitive)
web: file /etc/x.content.content: (sensitive) -> (sensitive)
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := parse(t, file(tt.before[0], tt.before[1], tt.before[2], tt.before[3]), nil)
			b := parse(t, file(tt.now[0], tt.now[1], tt.now[2], tt.now[3]), nil)
			changes := diff.Groups(a, b)
			data, err := json.Marshal(changes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, texts(changes)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			for _, what := range []string{secret, "czNjcmV0", "sha256", "lines", "bytes", "B.C"} {
				if strings.Contains(texts(changes)+string(data)+diff.Summary(changes, 0), what) {
					t.Errorf("the changes have %q:\n%s", what, data)
				}
			}
		})
	}
	// The control: the same values without a sensitive variable are told.
	a := parse(t, file(literal[0], literal[1], "", ""), nil)
	b := parse(t, file(`env = { A = "x" }`, "", "", ""), nil)
	if got := texts(diff.Groups(a, b)); !strings.Contains(got, secret) {
		t.Errorf("a value that is not sensitive is not told:\n%s", got)
	}
}
