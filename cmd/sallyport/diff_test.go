package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/diff"
	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/spec"
)

var someChanges = []diff.Change{
	{Container: "web", Attribute: "env.LEVEL", Kind: diff.Changed, Before: `"info"`, Now: `"debug"`},
	{Container: "web", Attribute: "env.TOKEN", Kind: diff.Changed, Before: diff.Hidden, Now: diff.Hidden, Sensitive: true},
	{Variable: "level", Kind: diff.Changed, Before: `"info"`, Now: `"debug"`},
}

// recorded are generations with all that is recorded of them, and one of an older daemon.
var recorded = []group.Generation{
	{
		Number: 3, Digest: "0a1b2c3d4e5f6a7b", File: "sealed.hcl", At: before(5 * time.Minute), By: group.ByApply, Outcome: group.Proved, Kept: true,
		ImageDigests: group.ImageDigests{"web:1": "sha256:0123456789abcdef"},
		Differs:      someChanges,
		More:         2,
		Values: []group.Value{
			{Variable: spec.Variable{Name: "level", Value: json.RawMessage(`"debug"`)}, From: group.FromFlag},
			{Variable: spec.Variable{Name: "ports", Value: json.RawMessage(`[1, 2]`)}, From: group.FromDefault},
			{Variable: spec.Variable{Name: "token", Sensitive: true}, From: group.FromEnvironment},
			{Variable: spec.Variable{Name: "big", Size: 3000, Sum: "0123456789abcdef"}},
			{Variable: spec.Variable{Name: "unseen"}, From: group.FromFile},
		},
	},
	{
		Number: 2, Digest: "ffffffffffffffff", File: "sealed.hcl", At: before(7 * time.Minute), By: group.ByApply, Outcome: group.TakenBack,
		Why: "not ready within 2m0s", Kept: true, ImageDigests: group.ImageDigests{"web:1": "sha256:fedcba9876543210"},
	},
	{Number: 1, Digest: "0a1b2c3d4e5f6a7b", File: "sealed.hcl", At: before(50 * time.Hour), By: group.ByFile, Outcome: group.Proved, Differs: []diff.Change{}, Values: []group.Value{}},
}

func TestHistoryWithWhatIsRecorded(t *testing.T) {
	const plain = `
GENERATION  AGO  BY     OUTCOME     KEPT  DIGEST        FILE
3           5m   apply  proved      yes   0a1b2c3d4e5f  sealed.hcl
  differs: env.LEVEL of web, env.TOKEN of web, var.level, and 2 more
  image web:1 is sha256:0123456789ab, and was sha256:fedcba987654
2           7m   apply  taken back  yes   ffffffffffff  sealed.hcl
  not ready within 2m0s
1           2d   file   proved      no    0a1b2c3d4e5f  sealed.hcl
`
	const values = `
GENERATION  AGO  BY     OUTCOME     KEPT  DIGEST        FILE
3           5m   apply  proved      yes   0a1b2c3d4e5f  sealed.hcl
  differs: env.LEVEL of web, env.TOKEN of web, var.level, and 2 more
  image web:1 is sha256:0123456789ab, and was sha256:fedcba987654
  var.level = "debug"  (--var)
  var.ports = [1,2]  (default)
  var.token = (sensitive)  (environment)
  var.big = 3000 bytes, sha256:0123456789ab
  var.unseen = (not shown)  (--var-file)
2           7m   apply  taken back  yes   ffffffffffff  sealed.hcl
  not ready within 2m0s
  values: not recorded
1           2d   file   proved      no    0a1b2c3d4e5f  sealed.hcl
`
	for with, want := range map[bool]string{false: plain, true: values} {
		var out strings.Builder
		if err := writeHistory(&out, recorded, now, with); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
			t.Errorf("with values: %t (-want +got)\n%s", with, diff)
		}
	}
}

func TestPreviewCutsChanges(t *testing.T) {
	many := make([]diff.Change, mostDiffers+3)
	for i := range many {
		many[i] = diff.Change{Attribute: "labels.a", Kind: diff.Added, Now: `"\u001b\n"`}
	}
	var out strings.Builder
	if err := writePreviews(&ui{out: &out}, []group.Preview{{Group: "shop", Differs: many}}, true); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	if lines[0] != "shop: 0 steps" || len(lines) != mostDiffers+3 || lines[mostDiffers+1] != `  ~ differs  in 3 more; "sallyport plan --json" shows all` {
		t.Errorf("%d lines:\n%s", len(lines), out.String())
	}
}
