package spec

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const reloadable = `group "g" {
  egress = "none"
  app "web" {
    image = "web:1"
    file "/a" {
      content = "one"
      reload  = "HUP"
    }
    file "/b" {
      content = "one"
      mode    = "0400"
      reload  = "SIGUSR1"
    }
    file "/c" { content = "one" }
  }
}
`

// replaceFirst is changed for what stands in the text several times.
func replaceFirst(t *testing.T, old, new string) Group {
	t.Helper()
	if !strings.Contains(reloadable, old) {
		t.Fatalf("%q does not stand in the group", old)
	}
	return parseOne(t, strings.Replace(reloadable, old, new, 1))
}

func TestReloadAndDigests(t *testing.T) {
	before := parseOne(t, reloadable)
	for _, tt := range []struct {
		name     string
		old, new string
		replaces bool     // the container
		reloads  []string // paths
		live     []string
	}{
		{"contents", `content = "one"`, `content = "two"`, false, []string{"/a"}, nil},
		{"the signal", `"HUP"`, `"USR2"`, false, nil, []string{"reload"}},
		{"another way to write the signal", `"HUP"`, `"sighup"`, false, nil, nil},
		{"contents and the signal", "content = \"one\"\n      reload  = \"HUP\"", "content = \"two\"\n reload = \"USR2\"", false, []string{"/a"}, []string{"reload"}},
		{"the mode", `"0400"`, `"0440"`, true, nil, nil},
		{"the path", `"/a"`, `"/aa"`, true, nil, nil},
		{"no reload any more", `      reload  = "HUP"`, ``, true, nil, nil},
		{"contents of another file", `"/c" { content = "one" }`, `"/c" { content = "two" }`, true, nil, nil},
		{"a file more", `file "/c"`, "file \"/0\" {\n content = \"one\"\n reload = \"HUP\"\n }\n file \"/c\"", true, nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			after := replaceFirst(t, tt.old, tt.new)
			was, now := before.Container("web"), after.Container("web")
			if replaces := was.Digest != now.Digest; replaces != tt.replaces {
				t.Errorf("it is replaced: %v", replaces)
			}
			if same := before.Digest == after.Digest; same != (tt.name == "another way to write the signal") {
				t.Errorf("it is the same generation: %v", same)
			}
			if tt.replaces {
				if words := after.Changes(&before, "web"); !slices.Equal(words, []string{"file"}) {
					t.Errorf("changed are %q", words)
				}
				return
			}
			var paths []string
			for _, f := range now.NotLoaded(was.Loaded()) {
				paths = append(paths, f.Path)
			}
			if diff := cmp.Diff(tt.reloads, paths); diff != "" {
				t.Errorf("reloads (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.live, after.LiveChanges(&before, "web")); diff != "" {
				t.Errorf("live changes (-want +got):\n%s", diff)
			}
			if words := after.Changes(&before, "web"); len(words) > 0 {
				t.Errorf("it is replaced for %q", words)
			}
		})
	}
}

// A container without a reload keeps the digest that an earlier version gave it.
func TestDigestWithoutReloadStays(t *testing.T) {
	const earlier = "dae7a12d9748acb2a6115678c7e0a08f0b518f802e99326e0e2d95d757a048dd"
	g := parseOne(t, strings.NewReplacer("      reload  = \"HUP\"\n", "", "      reload  = \"SIGUSR1\"\n", "").Replace(reloadable))
	if got := g.Container("web").Digest; got != earlier {
		t.Errorf("the digest is %s, was %s", got, earlier)
	}
}

// An empty file with a reload isn't one without.
func TestDigestOfEmptyFiles(t *testing.T) {
	empty := func(reload string) string {
		f := File{Path: "/a", Reload: reload}
		f.Seal()
		return (&Group{}).containerDigest(Container{Files: []File{f}})
	}
	if empty("") == empty("SIGHUP") {
		t.Error("they have the same digest")
	}
}

func TestLoading(t *testing.T) {
	before, after := parseOne(t, reloadable), replaceFirst(t, `content = "one"`, `content = "two"`)
	was, now := before.Container("web"), after.Container("web")
	half := now.Loading(was.Loaded())
	if half == was.Loaded() || half == now.Loaded() {
		t.Fatalf("while it changes it is %q, between %q and %q", half, was.Loaded(), now.Loaded())
	}
	for name, c := range map[string]*Container{"on": now, "back": was} {
		if files := c.NotLoaded(half); len(files) != 1 || files[0].Path != "/a" {
			t.Errorf("on the way %s: %+v", name, files)
		}
	}
	if files := now.NotLoaded(""); len(files) != 2 {
		t.Errorf("nothing loaded: %+v", files)
	}
	if files := now.NotLoaded(now.Loaded()); len(files) != 0 {
		t.Errorf("all loaded: %+v", files)
	}
	if none := (&Container{Files: []File{{Path: "/c", Content: []byte("x")}}}); none.Loaded() != "" || len(none.NotLoaded("")) != 0 {
		t.Errorf("without a reload: %q, %+v", none.Loaded(), none.NotLoaded(""))
	}
	if got := ReloadSignals(now.Files[:2]); !slices.Equal(got, []string{"SIGHUP", "SIGUSR1"}) {
		t.Errorf("signals %q", got)
	}
}
