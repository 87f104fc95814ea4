package spec

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// withEnvFiles reads a group whose app has these environment files, named by their index.
func withEnvFiles(t *testing.T, own string, files ...string) (Group, string) {
	t.Helper()
	names := make([]string, len(files))
	for i := range files {
		names[i] = string(rune('a'+i)) + ".env"
	}
	text := "group \"g\" {\n egress = \"none\"\n app \"web\" {\n image = \"x\"\n env = {" + own + "}\n env_file = [\"" + strings.Join(names, "\", \"") + "\"]\n }\n}\n"
	src := source("g.hcl", text)
	src.Dir = "/srv"
	src.ReadFile = func(path string) ([]byte, error) {
		for i, name := range names {
			if path == "/srv/"+name {
				return []byte(files[i]), nil
			}
		}
		return nil, fs.ErrNotExist
	}
	groups, diags := Parse(src)
	if len(groups) != 1 {
		return Group{}, printed(t, src, diags)
	}
	return groups[0], printed(t, src, diags)
}

func TestEnvFile(t *testing.T) {
	first := "\ufeff# a comment\n\nLEVEL=info\r\n  INDENTED= spaces stay \nURL=http://x/?a=b#c\nEMPTY=\nDOTTED.NAME-1=x"
	g, said := withEnvFiles(t, `OWN = "1", LEVEL = "debug"`, first, "URL=second\n")
	want := map[string]string{"LEVEL": "debug", "INDENTED": " spaces stay ", "URL": "second", "EMPTY": "", "DOTTED.NAME-1": "x", "OWN": "1"}
	if diff := cmp.Diff(want, g.Containers[0].Env); diff != "" || said != "" {
		t.Errorf("(-want +got):\n%s%s", diff, said)
	}
	// What the file alone has is shown nowhere.
	if diff := cmp.Diff([]string{"web.env.DOTTED.NAME-1", "web.env.EMPTY", "web.env.INDENTED", "web.env.URL"}, g.Sensitive); diff != "" {
		t.Errorf("hidden (-want +got):\n%s", diff)
	}
	other, _ := withEnvFiles(t, `OWN = "1", LEVEL = "debug"`, first, "URL=third\n")
	if other.Containers[0].Digest == g.Containers[0].Digest {
		t.Error("another value in the file does not replace the container")
	}
	if plain, _ := withEnvFiles(t, `OWN = "1"`, "# nothing\n"); plain.Sensitive != nil || len(plain.Containers[0].Env) != 1 {
		t.Errorf("a file with nothing in it: %+v", plain)
	}
}

func TestEnvFileProblems(t *testing.T) {
	for _, tt := range []struct{ file, want string }{
		{"A=1\nHOME", `"a.env", line 2: it has no value.`},
		{"export A=1", "line 1: the file is no shell script."},
		{"A B=1", `line 1: what stands before = can't name`},
		{"=1", `what stands before = can't name`},
		{"A=\xff", "line 1: it is no text."},
		{"A=\x00", "line 1: it is no text."},
		{strings.Repeat("A=1\n", 70_000), "an environment file has at most 256 KiB."},
	} {
		if g, said := withEnvFiles(t, "", tt.file); g.Name != "" || !strings.Contains(said, tt.want) || !strings.Contains(said, "g.hcl:6:") {
			t.Errorf("%.20q: %q, want %q in it, with its place", tt.file, said, tt.want)
		}
	}
	if g, said := withEnvFiles(t, "", `A="quoted"`); g.Name == "" || !strings.Contains(said, "the quotes are part of the value of A") {
		t.Errorf("quotes: %q", said)
	}
}
