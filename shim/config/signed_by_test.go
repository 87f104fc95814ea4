package config

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestSignedBy(t *testing.T) {
	for text, want := range map[string][]SignedImages{
		"":                      nil,
		"registry.example=/k":   {{"registry.example", "/k"}},
		"*=/k,localhost/a=none": {{"*", "/k"}, {"localhost/a", ""}},
		"registry.example:5000/team/app=/a b=c.pub": {{"registry.example:5000/team/app", "/a b=c.pub"}},
		"docker.io/nginx=/k,docker.io/nginx=/l":     {{"docker.io/nginx", "/k"}, {"docker.io/nginx", "/l"}},
	} {
		if got, problem := SignedBy(text); !slices.Equal(got, want) || problem != "" {
			t.Errorf("%q is %v, problem %q", text, got, problem)
		}
	}
	var many []string
	for i := range maxSignedBy + 1 {
		many = append(many, fmt.Sprintf("r.example/n%d=/k", i))
	}
	for text, want := range map[string]string{
		"registry.example": "has no key", ",": "has no key", "=/k": "no beginning of images' names", "busybox=/k": `Write: "docker.io/busybox"`,
		"index.docker.io/a=/k": `Write: "docker.io/a"`, "r.example/a:1=/k": "no beginning", "r.example/a@sha256:12=/k": "no beginning", "r.example/=/k": "no beginning",
		"https://r.example=/k": "no beginning", "r.example/A=/k": "no beginning", "r.example=k.pub": "neither the absolute path", "r.example=": "neither the absolute path",
		"r.example=/k,r.example=/k": "twice", "r.example=/k,r.example=none": "both a key and", "r.example=none,r.example=/k": "both a key and",
		strings.Join(many, ","): "more than 100",
	} {
		if got, problem := SignedBy(text); len(got) > 0 || !strings.Contains(problem, want) {
			t.Errorf("%q is accepted as %v, or its problem is %q", text, got, problem)
		}
	}
}

// Blocks are one setting, in the order of the file.
func TestSignedByBlocks(t *testing.T) {
	file, diags := Parse("sallyport.hcl", []byte("signed_by \"*\" { key = \"/k\" }\n\nsigned_by \"r.example\" {\n  key = \"none\"\n}\n"))
	if v := file["signed-by"]; diags.HasErrors() || v.Text != "*=/k,r.example=none" || v.At.Start.Line != 1 {
		t.Errorf("%+v, %v", v, diags)
	}
}
