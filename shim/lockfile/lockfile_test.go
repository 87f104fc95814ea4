package lockfile

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var one, two = "sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)

// What is written is read again, sorted, one line for each image.
func TestBytes(t *testing.T) {
	f := File{map[string]Entry{"web:2": {Digest: two}, "registry.example/app:1": {Digest: one}, "docker-archive:a ${b}\".tar:app:1": {Digest: one}}}
	want := header + "version = 1\n\nimages = {\n" +
		"  \"docker-archive:a $${b}\\\".tar:app:1\" = \"" + one + "\"\n" +
		"  \"registry.example/app:1\" = \"" + one + "\"\n" +
		"  \"web:2\" = \"" + two + "\"\n}\n"
	if diff := cmp.Diff(want, string(f.Bytes())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	again, diags := Parse("sallyport.lock", f.Bytes())
	if diags.HasErrors() || !cmp.Equal(f.Of("/f"), again.Of("/f")) {
		t.Errorf("%v, %v", again, diags)
	}
	if at := again.Images["web:2"].Place; at.Start.Line != 9 {
		t.Errorf("web:2 is at %v", at)
	}
	if none, diags := Parse("x", File{}.Bytes()); diags.HasErrors() || len(none.Images) > 0 {
		t.Errorf("an empty one: %v, %v", none, diags)
	}
}

func TestParseProblems(t *testing.T) {
	line := func(text string) string { return "version = 1\nimages = {\n" + text + "\n}\n" }
	for _, tt := range []struct{ name, src, want string }{
		{"nothing", "", "No version"},
		{"a later version", "version = 2\nimages = {}\n", "Unknown version"},
		{"an unknown line", "version = 1\nsigned = {}\n", "Unknown line"},
		{"a block", "version = 1\nimages {\n}\n", "No block of a lock file"},
		{"no map", "version = 1\nimages = []\n", "Invalid expression"},
		{"a merge that was left open", line("<<<<<<< HEAD\n  \"a:1\" = \"" + one + "\""), "This is a lock file"},
		{"a short digest", line(`"a:1" = "sha256:12"`), "64 letters"},
		{"another algorithm", line(`"a:1" = "sha512:` + strings.Repeat("1", 128) + `"`), "64 letters"},
		{"a number", line(`"a:1" = 1`), "64 letters"},
		{"a value of something else", line(`"a:1" = var.x`), "A line has a reference and a digest"},
		{"null", line(`"a:1" = null`), "A line has a reference and a digest"},
		{"twice", line("\"a:1\" = \"" + one + "\"\n\"a:1\" = \"" + two + "\""), "stands twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, diags := Parse("sallyport.lock", []byte(tt.src))
			if !diags.HasErrors() || !strings.Contains(diags.Error()+diags[0].Detail, tt.want) || diags[0].Subject == nil {
				t.Errorf("%v, want %q", diags, tt.want)
			}
		})
	}
}

// The path of an archive in the folder moves with it.
func TestKey(t *testing.T) {
	for _, tt := range []struct{ ref, key string }{
		{"web:1", "web:1"},
		{"docker-archive:/srv/a/images/app.tar:app:1", "docker-archive:images/app.tar:app:1"},
		{"oci:/srv/ab/layout", "oci:/srv/ab/layout"},
		{"oci-archive:/elsewhere/app.tar", "oci-archive:/elsewhere/app.tar"},
	} {
		key := Key("/srv/a", tt.ref)
		if key != tt.key {
			t.Errorf("%s: %s, want %s", tt.ref, key, tt.key)
		}
		if of := (File{map[string]Entry{key: {Digest: one}}}).Of("/srv/a"); of[tt.ref] != one {
			t.Errorf("%s: back %v", tt.ref, of)
		}
	}
	if Needs("app@"+one) || !Needs("app:1") || !Needs("docker-archive:/a@b.tar") {
		t.Error("which ones need an entry")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(File{map[string]Entry{"web:2": {Digest: two}}}.Bytes())
	f.Fuzz(func(t *testing.T, src []byte) {
		file, diags := Parse("x", src)
		if again, d := Parse("x", file.Bytes()); !diags.HasErrors() && (d.HasErrors() || !cmp.Equal(file.Of("/"), again.Of("/"))) {
			t.Errorf("%q: %v", src, d)
		}
	})
}
