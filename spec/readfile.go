package spec

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// maxFilesRead limits the files and folders that the functions of one group file read.
const maxFilesRead = 256

// The functions that read files. All of them stay in the folder of the group file. Only a group
// file that is parsed has them: see [meter.reads].
var (
	fileParams     = []function.Parameter{{Name: "path", Type: cty.String}}
	templateParams = []function.Parameter{{Name: "path", Type: cty.String}, {Name: "vars", Type: cty.DynamicPseudoType}}
	filesetParams  = []function.Parameter{{Name: "folder", Type: cty.String}, {Name: "pattern", Type: cty.String}}
)

// unread returns a function with those parameters for where no files can be read.
func unread(params []function.Parameter) function.Function {
	return function.New(&function.Spec{
		Params: params,
		Type: func([]cty.Value) (cty.Type, error) {
			return cty.NilType, errors.New("no file can be read here")
		},
	})
}

// A fileReader reads files for the functions of one group file.
type fileReader struct {
	src   Source
	meter *meter
	read  map[string]readFile // by absolute path
}

// A readFile is the result of reading a file.
type readFile struct {
	text string
	err  error
}

// reads gives the expressions that m evaluates the functions that read files.
func (m *meter) reads(src Source) {
	r := &fileReader{src, m, map[string]readFile{}}
	m.calls["file"] = m.price("file", function.New(&function.Spec{
		Params: fileParams,
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			text, err := r.text(args[0].AsString())
			return cty.StringVal(text), err
		},
	}))
	m.calls["fileset"] = m.price("fileset", function.New(&function.Spec{
		Params: filesetParams,
		Type:   function.StaticReturnType(cty.Set(cty.String)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return r.set(args[0].AsString(), args[1].AsString())
		},
	}))
	m.calls["templatefile"] = m.price("templatefile", function.New(&function.Spec{
		Params: templateParams,
		Type:   function.StaticReturnType(cty.String),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			return r.template(args[0].AsString(), args[1])
		},
	}))
}

// text returns the content of a file in the group file's folder.
func (r *fileReader) text(name string) (string, error) {
	at, err := r.inside(name)
	if err != nil {
		return "", err
	}
	text, err := r.content(at)
	switch {
	case errors.Is(err, errOver):
		return "", err
	case isMissing(err):
		return "", r.unreadable("There is no file %s. A path is relative to the folder of this group file.", quote(at))
	case err != nil:
		return "", r.unreadable("%s: %s.", quote(at), cause(err))
	case !utf8.ValidString(text):
		return "", function.NewArgErrorf(0, "%s is not UTF-8 text. Place it with a file block: source = %q", quote(name), name)
	}
	return text, nil
}

// set returns the names of the files in a folder that match a pattern, relative to the folder.
func (r *fileReader) set(folder, pattern string) (cty.Value, error) {
	below, last := path.Split(pattern)
	_, err := path.Match(pattern, "")
	switch {
	case err != nil || last == "":
		return cty.NilVal, function.NewArgErrorf(1, `%s is no pattern. In one, * stands for any characters, ? for one, [a-z] for one of these, such as in "*.conf"`, quote(pattern))
	case strings.ContainsAny(below, `*?[\`):
		return cty.NilVal, function.NewArgErrorf(1, "only the last part of a pattern can have *, ? and [. Call fileset once for each folder")
	}
	at, err := r.inside(folder)
	if err != nil {
		return cty.NilVal, err
	}
	if slices.Contains(strings.Split(below, "/"), "..") || path.IsAbs(below) {
		return cty.NilVal, function.NewArgErrorf(1, "%s leads out of the folder", quote(pattern))
	}
	names, err := r.content(path.Join(at, below) + "/" + last + "/")
	switch {
	case errors.Is(err, errOver):
		return cty.NilVal, err
	case isMissing(err):
		return cty.NilVal, r.unreadable("There is no folder %s. A path is relative to the folder of this group file.", quote(path.Join(at, below)))
	case err != nil:
		return cty.NilVal, r.unreadable("%s: %s.", quote(path.Join(at, below)), cause(err))
	}
	r.meter.take(strings.Count(names, "\n"), 0)
	var all []cty.Value
	for name := range strings.Lines(names) {
		all = append(all, cty.StringVal(path.Join(below, strings.TrimSuffix(name, "\n"))))
	}
	if len(all) == 0 {
		return cty.SetValEmpty(cty.String), nil
	}
	return cty.SetVal(all), nil
}

// unreadable ends the evaluation. The functions try and can don't stand for a file that can't be
// read: it would be no part of the definition, and its later appearance would change the group.
func (r *fileReader) unreadable(form string, args ...any) error {
	r.meter.end("A file can't be read", fmt.Sprintf(form, args...)+" Also within try and can, a file has to be there.")
	return errOver
}

// inside returns the absolute path of what a function names, which has to be in the folder of the
// group file.
func (r *fileReader) inside(name string) (string, error) {
	switch {
	case path.IsAbs(name):
		return "", function.NewArgErrorf(0, "%s is absolute. A function reads files in the folder of this group file alone. A file block places others: source = %q", quote(name), name)
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", function.NewArgErrorf(0, "%s leads out of the folder of this group file. Name a file in it, without \"..\"", quote(name))
	case name == "" || strings.ContainsRune(name, 0):
		return "", function.NewArgErrorf(0, "%s is no path", quote(name))
	}
	return path.Join(r.src.Dir, name), nil
}

// content returns what [Source.ReadFile] has for a path. It asks once for each.
func (r *fileReader) content(at string) (string, error) {
	if known, ok := r.read[at]; ok {
		return known.text, known.err
	}
	switch {
	case r.src.ReadFile == nil:
		return "", errors.New("this group file is read without access to other files")
	case len(r.read) == maxFilesRead:
		r.meter.end("Too many files", fmt.Sprintf("The functions of this file read more than %d files. Place files with file blocks: source = ...", maxFilesRead))
	}
	if !r.meter.goOn() {
		return "", errOver
	}
	content, err := r.src.ReadFile(at)
	r.meter.take(1, len(content))
	r.read[at] = readFile{string(content), err}
	return string(content), err
}

// template returns the text of a template in the group file's folder, with values in it.
func (r *fileReader) template(name string, vars cty.Value) (cty.Value, error) {
	text, err := r.text(name)
	if err != nil {
		return cty.NilVal, err
	}
	if t := vars.Type(); !t.IsObjectType() && !t.IsMapType() {
		return cty.NilVal, function.NewArgErrorf(1, "the values are a map, such as { port = 8080 }")
	}
	mistake := func(at hcl.Range, format string, args ...any) error {
		return function.NewArgErrorf(0, "%s:%d:%d: %s", name, at.Start.Line, at.Start.Column, strings.TrimSuffix(fmt.Sprintf(format, args...), "."))
	}
	tokens, _ := hclsyntax.LexTemplate([]byte(text), name, hcl.InitialPos)
	if at, what := exceedsNesting(tokens); what != "" {
		return cty.NilVal, mistake(at, "%s", what)
	}
	expr, diags := hclsyntax.ParseTemplate([]byte(text), name, hcl.InitialPos)
	if diags.HasErrors() {
		return cty.NilVal, mistake(*diags[0].Subject, "%s", diags[0].Detail)
	}
	calls := &scope{report: &report{}}
	if !calls.checkCalls(expr) {
		return cty.NilVal, mistake(*calls.diags[0].Subject, "%s", calls.diags[0].Detail)
	}
	values := vars.AsValueMap()
	for _, t := range expr.Variables() {
		if _, ok := values[t.RootName()]; !ok {
			return cty.NilVal, mistake(t.SourceRange(), "the values that the template was called with have no %q.%s", t.RootName(), DidYouMean(t.RootName(), keysOf(values)))
		}
	}
	ctx := &hcl.EvalContext{Functions: r.meter.inTemplate(), Variables: values}
	value, diags := r.meter.tree(expr, walked).Value(ctx)
	switch {
	case r.meter.over != nil:
		return cty.NilVal, errOver
	case diags.HasErrors():
		return cty.NilVal, mistake(*diags[0].Subject, "%s", diags[0].Detail)
	}
	result, err := convert.Convert(value, cty.String)
	if err != nil || result.IsNull() {
		return cty.NilVal, function.NewArgErrorf(0, "%s makes %s of the values, and not text", name, describe(value))
	}
	return result, nil
}

// inTemplate returns the functions that a template can call. None of them reads a template, so that
// none can read itself.
func (m *meter) inTemplate() functionTable {
	calls := functionTable{}
	for name, f := range m.calls {
		calls[name] = f
	}
	calls["templatefile"] = function.New(&function.Spec{
		Params: templateParams,
		Type: func([]cty.Value) (cty.Type, error) {
			return cty.NilType, errors.New("a template can't read another one. Call templatefile in the group file, and give the template its text")
		},
	})
	return calls
}

func keysOf(values map[string]cty.Value) (names []string) {
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
