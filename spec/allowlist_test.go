package spec

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A group without a list, with an empty one and with one of its own survive JSON as three different
// things. A daemon that knows no empty list reads it as one destination that no packet has.
func TestAllowListInJSON(t *testing.T) {
	for _, tt := range []struct {
		name string
		list AllowList
		json string // of the door
	}{
		{"none", nil, `{}`},
		{"nowhere", AllowList{}, `{"allow":[{"prefix":"0.0.0.0/32","protocol":"tcp"}]}`},
		{"one", AllowList{{Prefix: "192.0.2.0/24", Port: 443, Protocol: "tcp"}}, `{"allow":[{"prefix":"192.0.2.0/24","port":443,"protocol":"tcp"}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text, err := json.Marshal(Door{Allow: tt.list})
			if err != nil || string(text) != tt.json {
				t.Errorf("%s, %v; want %s", text, err, tt.json)
			}
			var back Door
			if err := json.Unmarshal(text, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.list, back.Allow); diff != "" {
				t.Errorf("read back (-want +got):\n%s", diff)
			}
			var older struct{ Allow []Allow }
			if err := json.Unmarshal(text, &older); err != nil {
				t.Fatal(err)
			}
			if (older.Allow == nil) != (tt.list == nil) || tt.list != nil && len(older.Allow) == 0 {
				t.Errorf("an older daemon reads %v", older.Allow)
			}
		})
	}
}

// What is not written by this package fails closed: only an absent list means anywhere.
func TestAllowListOfOthers(t *testing.T) {
	for text, nowhere := range map[string]bool{`{}`: false, `{"allow":null}`: false, `{"allow":[]}`: true, `{"allow":[{"prefix":"192.0.2.1/32","protocol":"tcp"}]}`: false} {
		var d Door
		if err := json.Unmarshal([]byte(text), &d); err != nil || d.Allow.Nowhere() != nowhere {
			t.Errorf("%s: nowhere is %t, %v", text, d.Allow.Nowhere(), err)
		}
	}
	var d Door
	if err := json.Unmarshal([]byte(`{"allow":[1]}`), &d); err == nil {
		t.Error("a number was taken for a destination")
	}
}

// Another list is another generation, and replaces no container.
func TestAllowListInDigests(t *testing.T) {
	const file = `group "g" {
  app "a" { image = "x" }
  ambassador "p" {
    image = "x"
    # allow
  }
}`
	seen := map[string]string{}
	var door string
	for _, line := range []string{"", "allow = []", `allow = ["192.0.2.1:443/tcp"]`, "allow = [for h in [] : h]"} {
		g := parseOne(t, strings.Replace(file, "# allow", line, 1))
		if door == "" {
			door = g.Ambassador().Digest
		}
		if g.Ambassador().Digest != door {
			t.Errorf("%q replaces the ambassador", line)
		}
		if before, same := seen[g.Digest]; same != (line == "allow = [for h in [] : h]") {
			t.Errorf("%q has the digest of %q: %t", line, before, same)
		}
		seen[g.Digest] = line
	}
}
