package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/group"
)

var generations = []group.Generation{
	{
		Number: 3, Digest: "0a1b2c3d4e5f6a7b", File: "checkout.hcl", At: before(5 * time.Minute), By: group.ByRevert,
		Outcome: group.Proved, Kept: true, ImageDigests: group.ImageDigests{"web:1": "sha256:0123456789abcdef", "side:1": "sha256:00"},
	},
	{
		Number: 2, Digest: "ffffffffffffffff", File: "checkout.hcl", At: before(7 * time.Minute), By: group.ByApply,
		Outcome: group.TakenBack, Why: "not ready within 2m0s: web (app) ended with status 3", Kept: true,
		ImageDigests: group.ImageDigests{"web:1": "sha256:fedcba9876543210", "side:1": "sha256:00", "more:1": "sha256:11"},
	},
	{Number: 1, Digest: "0a1b2c3d4e5f6a7b", File: "checkout.hcl", At: before(50 * time.Hour), By: group.ByFile, Outcome: group.Proved},
}

func TestWriteHistory(t *testing.T) {
	var out strings.Builder
	if err := writeHistory(&out, generations, now, false); err != nil {
		t.Fatal(err)
	}
	const want = `
GENERATION  AGO  BY      OUTCOME     KEPT  DIGEST        FILE
3           5m   revert  proved      yes   0a1b2c3d4e5f  checkout.hcl
  image web:1 is sha256:0123456789ab, and was sha256:fedcba987654
2           7m   apply   taken back  yes   ffffffffffff  checkout.hcl
  not ready within 2m0s: web (app) ended with status 3
1           2d   file    proved      no    0a1b2c3d4e5f  checkout.hcl
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), out.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
