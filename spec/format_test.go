package spec

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"nothing", "", ""},
		{"indent and align", "group \"a\"{\n    egress=\"none\"\n\tlabels   = {a=1}\n}", "group \"a\" {\n  egress = \"none\"\n  labels = { a = 1 }\n}\n"},
		{"a heredoc keeps its text", "locals {\n      a=<<EOT\n \t x  =  1\nEOT\n}\n", "locals {\n  a = <<EOT\n \t x  =  1\nEOT\n}\n"},
		{"comments stay", "# a\n//  b\nlocals{ /* c */ a=1 }# d", "# a\n//  b\nlocals { /* c */ a = 1 } # d\n"},
		{"a comment at the end", "locals {}\n  # a", "locals {}\n# a\n"},
		{"lines of Windows", "locals {\r\n\ta=1\r\n}", "locals {\r\n  a = 1\r\n}\r\n"},
		{"templates stay", "locals { a=\"${  1+1 }  b\" }\n", "locals { a = \"${1 + 1}  b\" }\n"},
	} {
		got, diags := Format("x.hcl", []byte(tt.text))
		if diff := cmp.Diff(tt.want, string(got)); diff != "" || len(diags) > 0 {
			t.Errorf("%s: %v (-want +got)\n%s", tt.name, diags, diff)
		}
	}
	for _, tt := range []struct{ name, text string }{
		{"a block without an end", "group \"a\" {\n"},
		{"a string without an end", "locals { a = \"b }\n"},
		{"an attribute on a line that is wrong", "locals {\n  a = = 1\n}\n"},
		{"an attribute twice", "locals {\n  a = 1\n  a = 2\n}\n"},
		{"no text", "\xff\xfe"},
	} {
		got, diags := Format("x.hcl", []byte(tt.text))
		if got != nil || !diags.HasErrors() || diags[0].Subject == nil {
			t.Errorf("%s: %q, %v", tt.name, got, diags)
		}
	}
}

// Every file of the tests and every example means the same after it was formatted, and has the
// usual style then.
func TestFormatKeepsTheMeaning(t *testing.T) {
	for _, path := range append(glob(t, "testdata/*.hcl"), glob(t, "../examples/*/*.hcl")...) {
		src, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text, diags := Format(path, src)
		if diags.HasErrors() {
			t.Fatalf("%s: %v", path, diags)
		}
		if again, diags := Format(path, text); string(again) != string(text) || len(diags) > 0 {
			t.Errorf("%s: formatting it again changes it: %v\n%s", path, diags, cmp.Diff(string(text), string(again)))
		}
		before, _ := Parse(source(filepath.Base(path), string(src)))
		after, _ := Parse(source(filepath.Base(path), string(text)))
		if len(before) != len(after) {
			t.Errorf("%s: %d groups, and %d after it was formatted", path, len(before), len(after))
			continue
		}
		for i := range before {
			if before[i].Digest != after[i].Digest {
				t.Errorf("%s: %s has another digest after it was formatted", path, before[i].Name)
			}
		}
	}
}

// Formatting keeps every word of a file, and is done after one time.
func FuzzFormat(f *testing.F) {
	for _, path := range append(glob(f, "testdata/*.hcl"), glob(f, "testdata/bad/*.hcl")...) {
		src, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		text, diags := Format("x.hcl", src)
		if diags.HasErrors() {
			return
		}
		if !sameWords(wholeLines(src), text) {
			t.Errorf("%q became %q", src, text)
		}
		if _, diags := Format("x.hcl", text); diags.HasErrors() {
			t.Errorf("%q became %q, which is no such file: %v", src, text, diags)
		}
	})
}
