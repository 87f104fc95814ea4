package spec

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// In the language the value of ${secret.NAME} is a placeholder. It stands in the content of a file
// until the container is created, and only there: all else in a group file can be read by others
// than the container. No function takes it, since what a function makes of a placeholder has
// nothing to do with the value.

// secretMark is on both sides of the name in a placeholder. No text of a group file has it.
const secretMark = "\x00"

// placeholder returns what stands for a secret's value in [File.Content].
func placeholder(name string) string { return secretMark + name + secretMark }

const filePlace = `A secret may stand in the content of a file block, file "/path" { content = "${secret.NAME}" }, or the container is given it as a file: secret "NAME" {}, which is at ` + SecretsPath + `/NAME.`

// checkSecretReferences reports every reference to a secret that stands where it can't.
func (d *groupDecoder) checkSecretReferences(group *hclsyntax.Block) {
	var visit func(parent string, b *hclsyntax.Block)
	visit = func(parent string, b *hclsyntax.Block) {
		for _, attr := range attributes(b.Body) {
			d.checkSecretsIn(b.Type, attr)
		}
		for _, inner := range b.Body.Blocks {
			visit(b.Type, inner)
		}
	}
	visit(fileKind, group)
}

func (d *groupDecoder) checkSecretsIn(block string, attr *hclsyntax.Attribute) {
	if !mentionsSecret(attr.Expr) {
		return
	}
	allowed := map[hclsyntax.Expression]bool{}
	if block == "file" && attr.Name == "content" {
		allowSecrets(attr.Expr, allowed)
	}
	before := len(d.diags)
	d.visitSecrets(attr, attr.Expr, allowed)
	if len(d.diags) > before {
		d.misplaced[attr] = true
	}
}

// visitSecrets reports the references below an expression that are not allowed.
func (d *groupDecoder) visitSecrets(attr *hclsyntax.Attribute, expr hclsyntax.Expression, allowed map[hclsyntax.Expression]bool) {
	w := &secretWalk{allowed: allowed}
	_ = hclsyntax.Walk(expr, w)
	for _, f := range w.found {
		switch {
		case f.call != "":
			d.errorf(f.at, "No function takes a secret", "The value of a secret is not known before the container is created, so %s() would be given a placeholder and not the value. %s", f.call, filePlace)
		case attr.Name == "env":
			d.errorf(f.at, "A secret in the environment", "Every program of a container can read its environment, and so can all who see /proc or the container's definition. Let the program read a file: secret \"NAME\" {} in the container's block, and env = { NAME_FILE = \"%s/NAME\" }, such as POSTGRES_PASSWORD_FILE.", SecretsPath)
		case attr.Name == "content":
			d.errorf(f.at, "A secret that is computed with", "The value of a secret is not known before the container is created, so nothing can be computed from it. Let it stand in the text by itself: \"password = ${secret.NAME}\"")
		default:
			d.errorf(f.at, "A secret would be shown", "What stands here is kept with the group's definition, and commands show it. %s", filePlace)
		}
	}
}

// A secretWalk finds references to secrets.
type secretWalk struct {
	allowed map[hclsyntax.Expression]bool
	calls   []string // the functions around what is being visited
	found   []secretFound
}

type secretFound struct {
	at   hcl.Range
	call string // the innermost function around it; or empty
}

func (w *secretWalk) Enter(n hclsyntax.Node) hcl.Diagnostics {
	switch e := n.(type) {
	case eachExpr:
		return w.Enter(e.Expression) // the walk passes it by
	case *hclsyntax.FunctionCallExpr:
		w.calls = append(w.calls, e.Name)
	case *hclsyntax.ScopeTraversalExpr:
		if e.Traversal.RootName() == "secret" && !w.allowed[e] {
			f := secretFound{at: e.Traversal.SourceRange()}
			if len(w.calls) > 0 {
				f.call = w.calls[len(w.calls)-1]
			}
			w.found = append(w.found, f)
		}
	}
	return nil
}

func (w *secretWalk) Exit(n hclsyntax.Node) hcl.Diagnostics {
	if e, ok := n.(eachExpr); ok {
		return w.Exit(e.Expression)
	}
	if _, ok := n.(*hclsyntax.FunctionCallExpr); ok {
		w.calls = w.calls[:len(w.calls)-1]
	}
	return nil
}

// allowSecrets notes the references that are parts of a text, by themselves.
func allowSecrets(expr hclsyntax.Expression, allowed map[hclsyntax.Expression]bool) {
	switch e := unwrap(expr).(type) {
	case eachExpr:
		allowSecrets(e.Expression, allowed)
	case *hclsyntax.ScopeTraversalExpr:
		allowed[e] = true
	case *hclsyntax.TemplateWrapExpr:
		allowSecrets(e.Wrapped, allowed)
	case *hclsyntax.TemplateExpr:
		for _, p := range e.Parts {
			allowSecrets(p, allowed)
		}
	case *hclsyntax.ConditionalExpr: // of a template as well: %{ if ... }
		allowSecrets(e.TrueResult, allowed)
		allowSecrets(e.FalseResult, allowed)
	}
}

func mentionsSecret(expr hclsyntax.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool { return t.RootName() == "secret" })
}

// secretContent reads the content of a file that has secrets in it.
func (d *groupDecoder) secretContent(r reader) (content []byte, secrets []string) {
	attr := r.body.Attributes["content"]
	if d.misplaced[attr] {
		return nil, nil
	}
	values := map[string]cty.Value{}
	for name := range d.secrets {
		values[name] = cty.StringVal(placeholder(name))
	}
	before := d.names
	d.names = before.with("secret", values)
	v, ok := r.evalFor("content", attr.Expr)
	d.names = before
	at := attr.Expr.Range()
	if !ok {
		return nil, nil
	}
	if v.IsNull() || v.Type() != cty.String {
		_, _ = r.convert(v, cty.String, quote("content"), at)
		return nil, nil
	}
	text := v.AsString()
	parts := strings.Split(text, secretMark)
	for i, p := range parts {
		switch _, known := d.secrets[p]; {
		case i%2 == 0:
		case !known || len(parts)%2 == 0:
			d.errorf(at, "Invalid text", "%q contains a NUL character, which no program can be given.", "content")
			return nil, nil
		default:
			secrets = append(secrets, p)
		}
	}
	slices.Sort(secrets)
	return []byte(text), slices.Compact(secrets)
}

// Render returns the content with the values of its secrets. A line feed at the end of a value is
// left out, unless the value is all of the content. It reports false if a value is missing.
func (f File) Render(values map[string][]byte) ([]byte, bool) {
	if len(f.Secrets) == 0 {
		return f.Content, true
	}
	parts := bytes.Split(f.Content, []byte(secretMark))
	alone := len(parts) == 3 && len(parts[0])+len(parts[2]) == 0
	var out []byte
	for i, p := range parts {
		if i%2 == 0 {
			out = append(out, p...)
			continue
		}
		value, ok := values[string(p)]
		if !ok {
			return nil, false
		}
		if !alone {
			value = bytes.TrimSuffix(bytes.TrimSuffix(value, []byte("\n")), []byte("\r"))
		}
		out = append(out, value...)
	}
	return out, true
}

// Shown returns the content for people, with ${secret.NAME} for each secret.
func (f File) Shown() []byte {
	parts := strings.Split(string(f.Content), secretMark)
	if len(f.Secrets) == 0 {
		return f.Content
	}
	for i := range parts {
		if i%2 == 1 {
			parts[i] = "${secret." + parts[i] + "}"
		}
	}
	return []byte(strings.Join(parts, ""))
}
