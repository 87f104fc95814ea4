package config

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	signedBy       = "signed_by"
	signedByFlag   = "signed-by"
	signedByBlock  = `signed_by "registry.example/team" { key = "/etc/sallyport/keys/team.pub" }`
	signedByText   = "registry.example/team=/etc/sallyport/keys/team.pub" // the same as a flag
	maxSignedBy    = 100
	everyImage     = "*"
	noKey          = "none"
	signedByAdvice = `Write a registry, or a part of it, such as "registry.example/team", or "*" for every image.`
)

// A SignedImages is one `signed_by` block: the images below a prefix have to be signed.
type SignedImages struct {
	Prefix string // such as "registry.example/team"; "*" is every image
	Key    string // absolute path of the public key; empty: these images need no signature
}

// SignedBy returns the setting signed_by: "PREFIX=KEY,PREFIX=KEY". It is empty for an empty text.
func SignedBy(text string) (all []SignedImages, problem string) {
	if text == "" {
		return nil, ""
	}
	for one := range strings.SplitSeq(text, ",") {
		prefix, key, ok := strings.Cut(one, "=")
		if !ok {
			return nil, fmt.Sprintf("%q has no key. Write PREFIX=FILE, and a comma before the next one: %s.", shorten(one), signedByText)
		}
		if problem := prefixProblem(prefix); problem != "" {
			return nil, problem
		}
		if problem := keyProblem(key); problem != "" {
			return nil, problem
		}
		next := SignedImages{prefix, strings.TrimPrefix(key, noKey)}
		if problem := clash(all, next); problem != "" {
			return nil, problem
		}
		all = append(all, next)
	}
	return all, ""
}

// prefixProblem returns what is wrong with the beginning of images' names, or "".
func prefixProblem(prefix string) string {
	if prefix == everyImage {
		return ""
	}
	const below = "/x" // a repository below it
	named, err := reference.ParseNormalizedNamed(prefix + below)
	switch {
	case err != nil || len(prefix) > 255:
		return fmt.Sprintf("%q is no beginning of images' names. %s", shorten(prefix), signedByAdvice)
	case named.String() != prefix+below: // completed
		return fmt.Sprintf("%q has no registry in it. Write: %q", prefix, strings.TrimSuffix(named.Name(), below))
	}
	return ""
}

func keyProblem(key string) string {
	switch {
	case key == noKey:
		return ""
	case !path.IsAbs(key) || strings.ContainsAny(key, ",\n\x00"):
		return fmt.Sprintf("%q is neither the absolute path of a public key, such as \"/etc/sallyport/keys/team.pub\", nor %q. A path with a comma can't be used.", shorten(key), noKey)
	}
	return ""
}

// clash returns why a block can't stand beside the others, or "".
func clash(all []SignedImages, next SignedImages) string {
	switch same := slices.IndexFunc(all, func(o SignedImages) bool { return o.Prefix == next.Prefix }); {
	case len(all) == maxSignedBy:
		return fmt.Sprintf("There are more than %d. Name shorter beginnings of images' names.", maxSignedBy)
	case slices.Contains(all, next):
		return fmt.Sprintf("%q has this key twice. Leave one out.", next.Prefix)
	case same >= 0 && (all[same].Key == "" || next.Key == ""):
		return fmt.Sprintf("%q has both a key and %q. Leave one of them out.", next.Prefix, noKey)
	}
	return ""
}

// signedBy reads the signed_by blocks, which make one setting.
func (d *decoder) signedBy(blocks []*hclsyntax.Block) {
	var all []SignedImages
	var texts []string
	for _, b := range blocks {
		if len(b.Labels) != 1 {
			d.errorf(b.DefRange(), "No images named", "A signed_by block has one label: which images have to be signed. Write: %s", signedByBlock)
			continue
		}
		next, ok := d.signed(b)
		if !ok {
			continue
		}
		if problem := clash(all, next); problem != "" {
			d.errorf(b.DefRange(), "Invalid "+signedBy, "%s", problem)
			continue
		}
		all = append(all, next)
		key := next.Key
		if key == "" {
			key = noKey
		}
		texts = append(texts, next.Prefix+"="+key)
	}
	if len(texts) > 0 {
		d.file[signedByFlag] = Value{strings.Join(texts, ","), blocks[0].DefRange()}
	}
}

// signed reads one signed_by block.
func (d *decoder) signed(b *hclsyntax.Block) (next SignedImages, ok bool) {
	ok = true
	if problem := prefixProblem(b.Labels[0]); problem != "" {
		d.errorf(b.LabelRanges[0], "Invalid "+signedBy, "%s", problem)
		ok = false
	}
	for _, inner := range b.Body.Blocks {
		d.errorf(inner.TypeRange, "Unknown block", "The block signed_by has no blocks in it. Allowed is key.")
		ok = false
	}
	var key *hclsyntax.Attribute
	for name, attr := range b.Body.Attributes {
		if name == "key" {
			key = attr
			continue
		}
		d.errorf(attr.NameRange, "Unknown setting", "There is no setting %q in the block signed_by. Allowed is key. More belongs to the signed_by blocks of group files.", shorten(name))
		ok = false
	}
	if key == nil && !ok {
		return next, false // what stands there instead is reported
	}
	if key == nil {
		d.errorf(b.DefRange(), "No key", "Name the file of the public key: key = \"/etc/sallyport/keys/team.pub\". Or, for images that need no signature: key = %q.", noKey)
		return next, false
	}
	literal, isText := key.Expr.(*hclsyntax.TemplateExpr)
	if !isText || !literal.IsStringLiteral() {
		d.errorf(key.Expr.Range(), "Wrong type", "\"key\" is text in quotes, without variables, functions or ${...}. Write: key = \"/etc/sallyport/keys/team.pub\"")
		return next, false
	}
	v, _ := literal.Value(nil) // a literal has no errors
	if problem := keyProblem(v.AsString()); problem != "" {
		d.errorf(key.Expr.Range(), "Invalid key", "%s", problem)
		return next, false
	}
	return SignedImages{b.Labels[0], strings.TrimPrefix(v.AsString(), noKey)}, ok
}

// signedByAttribute reports a signed_by that is no block.
func (d *decoder) signedByAttribute(at hcl.Range) {
	d.errorf(at, "Not an attribute", "%q is a block. Write: %s", signedBy, signedByBlock)
}
