package spec

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func withLocals(locals string) string {
	return "locals {\n" + locals + "\n}\n" + fmt.Sprintf(sealed, "g", "x")
}

// nested returns a for expression in which each of the lists has the next one inside.
func nested(depth int, list, inner string) string {
	for i := range depth {
		inner = fmt.Sprintf("[for v%d in %s : %s]", i, list, inner)
	}
	return inner
}

// doubled returns a chain of locals. Each has the one before in the place of @.
func doubled(n int, first, next string) string {
	lines := []string{"a0 = " + first}
	for i := range n {
		lines = append(lines, fmt.Sprintf("a%d = ", i+1)+strings.ReplaceAll(next, "@", fmt.Sprintf("local.a%d", i)))
	}
	return strings.Join(lines, "\n")
}

// grown returns a for expression whose innermost text has eight times the one around it, and so on.
func grown(depth int) string {
	expr := "v0"
	for i := range depth {
		expr = fmt.Sprintf("[for v%d in [\"%s\"] : %s]", i, strings.Repeat(fmt.Sprintf("${v%d}", i+1), 8), expr)
	}
	return fmt.Sprintf("[for v%d in [\"xxxxxxxx\"] : %s]", depth, expr)
}

// aliases returns lines of YAML in which each list has the one before twice.
func aliases(n int) (lines string) {
	for i := range n {
		lines += fmt.Sprintf("a%d: &a%d [*a%d, *a%d]\n", i+1, i+1, i, i)
	}
	return lines
}

const (
	letters = "b = join(\"\", [for i in range(1000) : \"" // then the line
	manyXs  = "\"])\n"
	flat    = "s = flatten([for i in range(20) : [for j in range(1000) : j]])\n"
	numbers = "s = [for i in range(1000) : i]\n"
)

// hostile are locals that compute too much, for each way to do it.
var hostile = map[string]string{
	"for in for in for":           "x = " + nested(3, "range(1000)", "1"),
	"for that makes maps":         "x = {for i in range(1000) : i => {for j in range(1000) : j => {for k in range(1000) : k => 1}}}",
	"for that keeps nothing":      "x = [for i in range(1000) : [for j in range(1000) : [for k in range(1000) : k if false]]]",
	"for in a condition":          "x = [for i in range(1000) : 1 if length(" + nested(2, "range(1000)", "1") + ") < 0]",
	"for in a template":           `x = "%{for i in range(1000)}%{for j in range(1000)}%{for k in range(1000)}x%{endfor}%{endfor}%{endfor}"`,
	"mistakes in for":             "x = " + nested(2, "range(1000)", "null.x"),
	"concat":                      doubled(30, "[1, 2, 3]", "concat(@, @)"),
	"shared parts":                doubled(60, "[1]", "[@, @]"),
	"shared parts of maps":        doubled(60, "{a = 1}", "{a = @, b = @}"),
	"depth":                       doubled(1000, "[1]", "[@]"),
	"depth of maps":               doubled(1000, "{}", "merge({a = @}, {b = 1})"),
	"depth of JSON":               `x = jsondecode(join("", [for i in range(1000) : "` + strings.Repeat("[", 1000) + `"]))`,
	"replace":                     doubled(30, `"aaaaaaaaaa"`, `replace(@, "a", "aaaaaaaaaa")`),
	"replace of nothing":          doubled(30, `"aaaaaaaaaa"`, `replace(@, "", @)`),
	"setunion":                    "s = [for i in range(600) : \"${i}\"]\nx = [for i in range(1000) : setunion(local.s, [\"a\"])]",
	"toset":                       flat + "x = toset(local.s)",
	"distinct":                    flat + "x = distinct(local.s)",
	"contains":                    flat + "x = [for i in range(1000) : contains(local.s, -1)]",
	"types of a list":             flat + "x = tolist(local.s)",
	"types of a condition":        flat + "x = true ? local.s : []",
	"types of many arguments":     flat + "x = coalesce(local.s...)",
	"comparison":                  flat + "x = [for i in range(1000) : local.s == local.s]",
	"length":                      flat + "x = [for i in range(1000) : length(local.s)]",
	"splat":                       numbers + "x = [for i in range(1000) : local.s[*]]",
	"merge":                       numbers + "x = [for i in range(1000) : merge({for i in local.s : i => i}, {})]",
	"split":                       letters + strings.Repeat("x", 500) + manyXs + `x = split("", local.b)`,
	"join of long texts":          letters + strings.Repeat("x", 1000) + manyXs + `x = join("", [for i in range(20) : local.b])`,
	"join with a long separator":  letters + strings.Repeat("x", 1000) + manyXs + `x = join(local.b, range(1000))`,
	"template":                    "x = " + grown(10),
	"width":                       `x = [for i in range(1000) : format("` + strings.Repeat("%999d", 100) + `", ` + strings.Repeat("i, ", 99) + `i)]`,
	"argument that is repeated":   letters + strings.Repeat("x", 1000) + manyXs + `x = format("` + strings.Repeat("%[1]s", 1000) + `", local.b)`,
	"argument of a list":          letters + strings.Repeat("x", 1000) + manyXs + `x = formatlist("%s%d", local.b, range(1000))`,
	"regular expression":          `x = [for i in range(1000) : regex("` + strings.Repeat("((abcdefghij){30}){30}", 30) + `", "a")]`,
	"regular expression in text":  letters + strings.Repeat("a", 1000) + manyXs + `x = regexall("` + strings.Repeat("(a|b)?", 100) + `c", local.b)`,
	"groups":                      letters + strings.Repeat("a", 10) + manyXs + `x = regexall("` + strings.Repeat("()", 100) + `a", local.b)`,
	"trim":                        letters + strings.Repeat("x", 1000) + manyXs + `x = trim(local.b, "` + strings.Repeat("é", 1000) + `")`,
	"digits":                      letters + strings.Repeat("9", 1000) + manyXs + `x = local.b + 1`,
	"digits in JSON":              letters + strings.Repeat("9", 1000) + manyXs + `x = jsondecode(local.b)`,
	"digits of base 16":           letters + strings.Repeat("a", 1000) + manyXs + `x = parseint(local.b, 16)`,
	"depth of YAML":               `x = yamldecode(join("", [for i in range(1000) : "` + strings.Repeat("[", 1000) + `"]))`,
	"depth of YAML's lists":       `x = yamldecode("` + strings.Repeat("- ", 1000) + `x")`,
	"aliases of YAML":             "x = yamldecode(<<EOT\na0: &a0 [1]\n" + aliases(40) + "EOT\n)",
	"merges of YAML":              letters + strings.Repeat("k: 1\\n", 100) + manyXs + `x = yamldecode("a: &a\n${local.b}${join("", [for i in range(1000) : "<<: *a\n"])}")`,
	"digits in YAML":              letters + strings.Repeat("9", 1000) + manyXs + `x = yamldecode(local.b)`,
	"exponent in YAML":            `x = jsonencode(yamldecode("1e600000000"))`,
	"exponent":                    `x = "${"1e600000000" + 0}"`,
	"exponent of a remainder":     `x = "1e600000000" % 7`,
	"exponent of a rounding":      `x = ceil("1e600000000")`,
	"exponent in a format":        `x = format("%d", "1e600000000")`,
	"exponent in a list":          `x = formatlist("%d", ["1e600000000"])`,
	"exponent as an index":        `x = [1]["1e600000000"]`,
	"exponent in JSON":            `x = jsonencode(jsondecode("1e600000000"))`,
	"try in try":                  "x = " + strings.Repeat("try(", 50) + "1" + strings.Repeat(")", 50),
	"default of a type":           "}\nvariable \"v\" {\n type = object({a = optional(list(any), " + nested(6, "[1,2,3,4,5,6,7,8,9,10]", "1") + ")})\n default = {}",
	"default for each element":    "}\nvariable \"v\" {\n type = list(object({a = optional(any, [" + strings.Repeat("1,", 1000) + "])}))\n default = [" + strings.Repeat("{},", 1000) + "]",
	"key of an unknown attribute": "}\nvariable \"v\" {\n default = 1\n nope = {(" + nested(6, "[1,2,3,4,5,6,7,8,9,10]", "1") + ") = 1}",
}

// Each hostile file has one diagnostic for its limit, in its own line, and was not computed. The
// test counts allocations, because the time on a busy machine means nothing.
func TestHostileExpressionsReachALimit(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(hostile)) {
		t.Run(name, func(t *testing.T) {
			src := source("test.hcl", withLocals(hostile[name]))
			goroutines := runtime.NumGoroutine()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, diags := Parse(src)
			runtime.ReadMemStats(&after)
			limits := 0
			for _, d := range diags {
				if d.Summary == "Too much to compute" || d.Summary == "Value nested too deep" {
					limits++
					if d.Subject.Filename != src.Name || d.Subject.Start.Line < 2 {
						t.Errorf("the limit is reported at %s", d.Subject)
					}
				}
			}
			if limits != 1 {
				t.Errorf("%d limits, want 1: %.300v", limits, diags)
			}
			if bytes, objects := (after.TotalAlloc-before.TotalAlloc)>>20, (after.Mallocs-before.Mallocs)>>10; bytes > 256 || objects > 6<<10 {
				t.Errorf("%d MiB and %d Ki objects were allocated, want at most 256 and 6144", bytes, objects)
			}
			if n := runtime.NumGoroutine(); n > goroutines {
				t.Errorf("%d goroutines are left, there were %d", n, goroutines)
			}
		})
	}
}

// What authors write is far from the limits.
func TestLimitsLeaveRoom(t *testing.T) {
	for name, locals := range map[string]string{
		"a product":        "x = " + nested(2, "range(100)", `"10.0.${v0}.${v1}:443/tcp"`),
		"a long join":      `x = join("\n", [for i in range(1000) : "line ${i} of a file that is placed"])`,
		"large sets":       "s = [for i in range(200) : \"${i}\"]\nx = setsubtract(setunion(local.s, [\"a\"]), local.s)",
		"patterns":         `x = [for i in range(100) : regex("^[a-z][-a-z0-9]{0,62}$", "host-${i}")]`,
		"half a megabyte":  letters + strings.Repeat("x", 500) + manyXs + `x = upper(replace(local.b, "x", "y"))`,
		"a hash of digits": `x = "sha256:` + strings.Repeat("9", 64) + `"` + "\ny = 1e30 * 2",
	} {
		if _, diags := Parse(source("test.hcl", withLocals(locals))); diags.HasErrors() {
			t.Errorf("%s: %v", name, diags)
		}
	}
}

// A limit that one group reaches leaves no other group behind as if the file were good.
func TestLimitIsOnceInAFile(t *testing.T) {
	huge := "${length(" + nested(3, "range(1000)", "1") + ")}"
	groups, diags := Parse(source("test.hcl", fmt.Sprintf(sealed+sealed+sealed, "one", "x", "two", huge, "three", huge)))
	if diff := cmp.Diff([]string{"one"}, groupNames(groups)); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	if len(diags) != 1 || diags[0].Subject.Start.Line != 7 {
		t.Errorf("got %v, want one limit in line 7", diags)
	}
}

func TestStopEndsTheEvaluation(t *testing.T) {
	for _, after := range []int{1, 2, 10} {
		src := source("test.hcl", withLocals("x = "+nested(2, "range(300)", "upper(\"a\")")))
		asked := 0
		src.Stop = func() error {
			if asked++; asked >= after {
				return errors.New("the daemon shuts down")
			}
			return nil
		}
		_, diags := Parse(src)
		if len(diags) != 1 || diags[0].Summary != "Evaluation was stopped" || diags[0].Subject.Start.Line != 2 || !strings.Contains(diags[0].Detail, "the daemon shuts down") {
			t.Errorf("stopped at question %d: %v", after, diags)
		}
		if asked != after {
			t.Errorf("asked %d times, want %d: an evaluation that is stopped goes on", asked, after)
		}
	}
	src := source("test.hcl", withLocals("x = "+nested(2, "range(100)", "upper(\"a\")")))
	src.Stop = func() error { return nil }
	if _, diags := Parse(src); diags.HasErrors() {
		t.Errorf("an evaluation that may go on was stopped: %v", diags)
	}
}

// evaluated has each kind of expression. The copy that counts has the same value and the same
// mistakes.
var evaluated = []string{
	`1`, `null`, `(1 + 2) * -3`, `!true || 1 == 1 && "a" != "b"`, `7 % 4 / 2`, `-"3"`, `-"x"`, `1 + "x"`,
	`"a${1}b${"c"}"`, `"${[1]}"`, `"x${null}"`, `"%{if true}a%{else}b%{endif}"`, `"%{for k, v in {a = 1}}${k}=${v} %{endfor}"`, `"%{for v in [null]}${v}%{endfor}"`,
	"<<-EOT\n  a ${1}\n  b\nEOT\n", `[1, "a", [true]]`, `[1, 2][1]`, `[1, 2][0 + 1]`, `[1]["0"]`, `[1].0`, `[1][2]`, `{a = 1}["b"]`, `{a = {b = 1}}.a.b`,
	`{a = 1, "b" = 2, (upper("c")) = 3, 4 = 4, true = 5, null = 6}`, `{(null) = 1}`, `{([]) = 1}`, `{a.b = 1}`, `{[1][0] = 1}`, `{"${"x"}" = 1}`,
	`[for v in [1, 2, 3] : v * 2 if v > 1]`, `{for k, v in {a = 1, b = 2} : v => k}`, `{for v in ["a", "ab"] : substr(v, 0, 1) => v...}`, `{for v in [1, 1] : v => v}`, `[for v in 1 : v]`, `[for v in null : v]`, `[for v in [1] : v if null]`, `[for v in [1] : v if "x"]`,
	`[{a = 1}, {a = 2}][*].a`, `[{a = [1]}].*.a`, `null[*]`, `"x"[*]`, `[[{a = 1}]][*][0].a`, `[for x in [[{b = 1}]] : x[*].b]`,
	`true ? 1 : "a"`, `false ? [1] : [1, 2]`, `null ? 1 : 2`, `true ? null : 1`, `true ? {a = 1} : {b = [1]}`, `1 ? 2 : 3`,
	`upper("a")`, `upper()`, `upper(1, 2)`, `max([1, 2]...)`, `max(1...)`, `concat([1], ["a"])`, `length(null)`, `regex("(", "a")`, `jsondecode("[1")`,
	`try(null.x, upper(1), 2)`, `try(null.x)`, `can(null.x)`, `can([1][0])`, `merge({a = 1}, {b = 2})`, `flatten([[1], [2]])`, `formatlist("%s-%s", ["a", "b"], "c")`, `setunion(["a"], ["b", "a"])`,
}

func TestCountingChangesNoValue(t *testing.T) {
	kinds := map[string]bool{}
	for _, text := range evaluated {
		expr, diags := hclsyntax.ParseExpression([]byte(text), "test.hcl", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", text, diags)
		}
		_ = hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
			kinds[fmt.Sprintf("%T", n)] = true
			return nil
		})
		want, wantDiags := expr.Value(&hcl.EvalContext{Functions: functions})
		got, gotDiags := newMeter(nil).eval(expr, nil)
		if !got.RawEquals(want) {
			t.Errorf("%s is %#v, want %#v", text, got, want)
		}
		if diff := cmp.Diff(texts(wantDiags), texts(gotDiags)); diff != "" {
			t.Errorf("mistakes of %s (-want +got):\n%s", text, diff)
		}
	}
	if len(kinds) < 19 {
		t.Errorf("only %d kinds of expressions: %v", len(kinds), slices.Sorted(maps.Keys(kinds)))
	}
}

// calls has a call of each function, with a large result where the function can make one. The
// arguments are as small as they can be, so that a function without a price is noticed.
var calls = map[string]string{
	"chomp": `chomp("x\n")`, "format": `format("%500d", 1)`, "formatlist": `formatlist("%100s%[1]s", ["a", "b", "c"])`, "join": `join("` + strings.Repeat("-", 50) + `", ["", "", "", ""])`,
	"lower": `lower("X")`, "regex": `regex("(.)(.)", "ab")`, "regexall": `regexall("()()()x", "xxxx")`, "replace": `replace("xxxx", "x", "` + strings.Repeat("y", 90) + `")`,
	"split": `split("", "abcdefghijklmnop")`, "strlen": `strlen("x")`, "substr": `substr("abc", 0, 2)`, "title": `title("abc def")`, "trim": `trim("xax", "x")`,
	"trimprefix": `trimprefix("abc", "a")`, "trimspace": `trimspace(" a ")`, "trimsuffix": `trimsuffix("abc", "c")`, "upper": `upper("x")`,
	"chunklist": `chunklist(["a", "b", "c"], 1)`, "coalesce": `coalesce(null, "a")`, "coalescelist": `coalescelist([], ["a"])`, "compact": `compact(["", "a"])`, "concat": `concat([1], [2])`,
	"contains": `contains([1], 1)`, "distinct": `distinct([1, 1, 2])`, "element": `element([1, 2], 3)`, "flatten": `flatten([[1], [2, [3]]])`, "keys": `keys({a = 1})`, "length": `length([1])`,
	"lookup": `lookup({a = "b"}, "a", "c")`, "merge": `merge({a = 1}, {b = 2})`, "range": `range(1000)`, "reverse": `reverse([1, 2])`, "setintersection": `setintersection(["a"], ["a"])`,
	"setsubtract": `setsubtract(["a"], ["b"])`, "setunion": `setunion(["a"], ["b"])`, "slice": `slice([1, 2, 3], 0, 2)`, "sort": `sort(["b", "a"])`, "values": `values({a = 1})`, "zipmap": `zipmap(["a"], [1])`,
	"abs": `abs(-1)`, "ceil": `ceil(1.5)`, "floor": `floor(1.5)`, "max": `max(1, 2)`, "min": `min(1, 2)`, "parseint": `parseint("ff", 16)`,
	"base64decode": `base64decode("YQ==")`, "base64encode": `base64encode("a")`, "jsondecode": `jsondecode("[1,2,[3]]")`, "jsonencode": `jsonencode("<><><><><><><>")`,
	"file": `file("haproxy.cfg")`, "fileset": `fileset("conf", "*")`, "templatefile": `templatefile("conf/web.tpl", { ports = {} })`,
	"cidrhost": `cidrhost("10.0.0.0/8", 1)`, "cidrnetmask": `cidrnetmask("10.0.0.0/8")`, "cidrsubnet": `cidrsubnet("10.0.0.0/8", 8, 1)`, "cidrsubnets": `cidrsubnets("10.0.0.0/8", 8, 8)`,
	"sha256": `sha256("a")`, "yamldecode": `yamldecode("{a: [1, 2], b: c}")`,
	"tobool": `tobool("true")`, "tolist": `tolist(["a"])`, "tomap": `tomap({a = "b"})`, "tonumber": `tonumber("1")`, "toset": `toset(["a"])`, "tostring": `tostring(1)`,
}

// A call has counted its result before it is made, up to a small part.
func TestEveryFunctionHasAPrice(t *testing.T) {
	const small = 20
	for _, name := range functionNames {
		if slices.Contains(unevaluated, name) {
			continue
		}
		expr, _ := hclsyntax.ParseExpression([]byte(calls[name]), "test.hcl", hcl.InitialPos)
		before, result := newMeter(nil), newMeter(nil)
		before.reads(source("test.hcl", ""))
		ctx := &hcl.EvalContext{Functions: before.calls}
		v, diags := before.inside(expr).Value(ctx) // the call without a count of its value
		if diags.HasErrors() || v == cty.DynamicVal {
			t.Errorf("%s: %v", name, diags)
			continue
		}
		result.walk(v, 0)
		if elements := (maxElements - result.elements) - (maxElements - before.elements); elements > small && name != "range" {
			t.Errorf("%s makes %d elements that it has not counted", name, elements)
		}
		if bytes := (maxTextBytes - result.bytes) - (maxTextBytes - before.bytes); bytes > small && name != "range" {
			t.Errorf("%s makes %d bytes that it has not counted", name, bytes)
		}
	}
}

// The library itself limits range, which would need a price otherwise.
func TestRangeIsLimited(t *testing.T) {
	_, diags := Parse(source("test.hcl", withLocals("x = range(1025)")))
	if len(diags) != 1 || !strings.Contains(diags[0].Detail, "1024") {
		t.Errorf("got %v, want a refusal", diags)
	}
}

// A file that is far too large is refused by its size. Showing the mistake copies no more of it
// than of the largest file.
func TestHugeFileIsRefusedByItsSize(t *testing.T) {
	src := source("test.hcl", strings.Repeat("\n", 10<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, diags := Parse(src)
	text := printed(t, src, diags)
	runtime.ReadMemStats(&after)
	if !strings.Contains(text, "at most 256 KiB long; this one has 10240 KiB") {
		t.Errorf("got %s", text)
	}
	if kib := (after.TotalAlloc - before.TotalAlloc) >> 10; kib > 8<<10 {
		t.Errorf("%d KiB were allocated, want at most 8192", kib)
	}
}

func TestMistakesAtOnePlaceAreLimited(t *testing.T) {
	src := source("test.hcl", withLocals("s = [for i in range(1000) : \"a${i}\"]")+"group \"h\" {\n  ambassador \"b\" {\n    image = \"x\"\n    allow = local.s\n  }\n  app \"a\" { image = \"x\" }\n}\n")
	if _, diags := Parse(src); len(diags) != maxMistakesAt {
		t.Errorf("%d mistakes, want %d", len(diags), maxMistakesAt)
	}
}
