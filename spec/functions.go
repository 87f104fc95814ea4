package spec

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/ext/tryfunc"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// functions are those that expressions can call. None reads a clock or the environment. Those that
// read files get their content from [Source.ReadFile].
var functions = map[string]function.Function{
	// strings
	"chomp":      stdlib.ChompFunc,
	"format":     boundedWidth(stdlib.FormatFunc),
	"formatlist": boundedWidth(stdlib.FormatListFunc),
	"join":       stdlib.JoinFunc,
	"lower":      stdlib.LowerFunc,
	"regex":      stdlib.RegexFunc,
	"regexall":   stdlib.RegexAllFunc,
	"replace":    stdlib.ReplaceFunc,
	"split":      stdlib.SplitFunc,
	"strlen":     stdlib.StrlenFunc,
	"substr":     stdlib.SubstrFunc,
	"title":      stdlib.TitleFunc,
	"trim":       stdlib.TrimFunc,
	"trimprefix": stdlib.TrimPrefixFunc,
	"trimspace":  stdlib.TrimSpaceFunc,
	"trimsuffix": stdlib.TrimSuffixFunc,
	"upper":      stdlib.UpperFunc,

	// collections
	"chunklist":       stdlib.ChunklistFunc,
	"coalesce":        stdlib.CoalesceFunc,
	"coalescelist":    stdlib.CoalesceListFunc,
	"compact":         stdlib.CompactFunc,
	"concat":          stdlib.ConcatFunc,
	"contains":        stdlib.ContainsFunc,
	"distinct":        stdlib.DistinctFunc,
	"element":         stdlib.ElementFunc,
	"flatten":         stdlib.FlattenFunc,
	"keys":            stdlib.KeysFunc,
	"length":          lengthFunc,
	"lookup":          stdlib.LookupFunc,
	"merge":           stdlib.MergeFunc,
	"range":           stdlib.RangeFunc,
	"reverse":         stdlib.ReverseListFunc,
	"setintersection": stdlib.SetIntersectionFunc,
	"setsubtract":     stdlib.SetSubtractFunc,
	"setunion":        stdlib.SetUnionFunc,
	"slice":           stdlib.SliceFunc,
	"sort":            stdlib.SortFunc,
	"values":          stdlib.ValuesFunc,
	"zipmap":          stdlib.ZipmapFunc,

	// numbers
	"abs":      stdlib.AbsoluteFunc,
	"ceil":     stdlib.CeilFunc,
	"floor":    stdlib.FloorFunc,
	"max":      stdlib.MaxFunc,
	"min":      stdlib.MinFunc,
	"parseint": stdlib.ParseIntFunc,

	// encodings and types
	"base64decode": base64Decode,
	"base64encode": base64Encode,
	"jsondecode":   stdlib.JSONDecodeFunc,
	"jsonencode":   stdlib.JSONEncodeFunc,
	"sha256":       sha256Func,
	"tobool":       stdlib.MakeToFunc(cty.Bool),
	"tolist":       stdlib.MakeToFunc(cty.List(cty.DynamicPseudoType)),
	"tomap":        stdlib.MakeToFunc(cty.Map(cty.DynamicPseudoType)),
	"tonumber":     stdlib.MakeToFunc(cty.Number),
	"toset":        stdlib.MakeToFunc(cty.Set(cty.DynamicPseudoType)),
	"tostring":     stdlib.MakeToFunc(cty.String),
	"yamldecode":   yamlDecode,

	// files in the folder of the group file
	"file":         unread(fileParams),
	"fileset":      unread(filesetParams),
	"templatefile": unread(templateParams),

	// networks
	"cidrhost":    cidrHost,
	"cidrnetmask": cidrNetmask,
	"cidrsubnet":  cidrSubnet,
	"cidrsubnets": cidrSubnets,

	// mistakes
	"can": tryfunc.CanFunc,
	"try": tryfunc.TryFunc,
}

var functionNames = slices.Sorted(maps.Keys(functions))

// impureFunctions are functions that authors know from other systems, with what to do instead.
var impureFunctions = map[string]string{
	"filebase64": `Place the file with a file block: file "/path" { source = ... }.`,
	"fileexists": `Write length(fileset(".", "name")) > 0.`,
	"env":        "Use a variable: SALLYPORT_VAR_NAME in the environment is its value.",
	"getenv":     "Use a variable: SALLYPORT_VAR_NAME in the environment is its value.",
	"timestamp":  "Use a variable.",
	"filesha256": `Write sha256(file("name")).`,
	"uuid":       "Use a variable.",
}

// otherFunctions are functions of other systems that a group file says in another way.
var otherFunctions = map[string]string{
	"indent":     `Write replace(text, "\n", "\n  ").`,
	"yamlencode": "JSON is YAML, too: write jsonencode(...).",
}

// lengthFunc counts the elements of a collection, and the characters of a string.
var lengthFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType}},
	Type:   function.StaticReturnType(cty.Number),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if args[0].Type() == cty.String {
			return stdlib.Strlen(args[0])
		}
		switch t := args[0].Type(); {
		case t.IsObjectType():
			return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
		case t.IsCollectionType() || t.IsTupleType():
			return args[0].Length(), nil
		}
		return cty.NilVal, errors.New("only a string, a list, a set or a map has a length")
	},
})

var sha256Func = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		sum := sha256.Sum256([]byte(args[0].AsString()))
		return cty.StringVal(hex.EncodeToString(sum[:])), nil
	},
})

var base64Encode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(args[0].AsString()))), nil
	},
})

var base64Decode = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "str", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		plain, err := base64.StdEncoding.DecodeString(args[0].AsString())
		if err != nil {
			return cty.NilVal, function.NewArgErrorf(0, "not base64: %s", err)
		}
		if !utf8.Valid(plain) {
			return cty.NilVal, function.NewArgErrorf(0, "decodes to bytes that are not UTF-8 text")
		}
		return cty.StringVal(string(plain)), nil
	},
})

var wideVerb = regexp.MustCompile(`%[^%a-zA-Z]*[0-9]{4}`)

// boundedWidth returns f with a check that refuses a format with a width of more than three digits.
func boundedWidth(f function.Function) function.Function {
	params := f.Params()
	return function.New(&function.Spec{
		Params:   params,
		VarParam: f.VarParam(),
		Type: func(args []cty.Value) (cty.Type, error) {
			if v := args[0]; v.IsKnown() && !v.IsNull() && wideVerb.MatchString(strings.ReplaceAll(v.AsString(), "%%", "")) {
				return cty.NilType, function.NewArgErrorf(0, "a width has at most three digits")
			}
			return f.ReturnTypeForValues(args)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return f.Call(args) },
	})
}
