package store_test

import (
	"os"
	"path/filepath"
	"testing"
)

// What the functions of a group file read is part of its definition: a file that has changed or
// that a pattern matches now gives another one, and one that no pattern matches does not.
func TestFunctionsReadTheFolder(t *testing.T) {
	s, l := newStore(t)
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(l.GroupsDir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(l.GroupsDir, 0o700); err != nil {
		t.Fatal(err)
	}
	put("web.hcl", `group "web" {
  egress = "none"
  app "web" {
    image = "registry.example/web:1"
    env   = { SUM = sha256(join("", [for f in fileset(".", "*.conf") : file(f)])) }
  }
}`)
	put("a.conf", "a")
	digest := func() string {
		t.Helper()
		all := s.Load()
		if len(all.Wanted) != 1 || !all.Complete() {
			t.Fatalf("loaded %+v", all)
		}
		return all.Wanted[0].Group.Digest
	}
	before := digest()
	for _, tt := range []struct {
		name, file, text string
		same             bool
	}{
		{"the same again", "a.conf", "a", true},
		{"a file that no pattern matches", "b.txt", "b", true},
		{"another content", "a.conf", "aa", false},
		{"one more file", "b.conf", "b", false},
	} {
		put(tt.file, tt.text)
		now := digest()
		if (now == before) != tt.same {
			t.Errorf("%s: the digest is the same: %v, want %v", tt.name, now == before, tt.same)
		}
		before = now
	}
}
