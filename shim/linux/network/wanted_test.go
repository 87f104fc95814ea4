package network

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// What a kernel has no word for is explained by what the group asked for beyond the plain rules.
func TestExplainWhatTheKernelLacks(t *testing.T) {
	unknown, other := fmt.Errorf("write table: %w", os.ErrNotExist), errors.New("no memory")
	for _, tt := range []struct {
		name   string
		err    error
		policy egress.Policy
		hint   string
	}{
		{"interception", unknown, egress.Policy{Intercept: 1, Quota: 1}, "CONFIG_NFT_REDIR"},
		{"a quota", unknown, egress.Policy{Quota: 1}, "CONFIG_NFT_QUOTA"},
		{"neither", unknown, egress.Policy{}, ""},
		{"another error", other, egress.Policy{Intercept: 1}, ""},
	} {
		err := explain(tt.err, tt.policy)
		p, ok := errors.AsType[*hint.Error](err)
		if !errors.Is(err, tt.err) || ok != (tt.hint != "") || ok && !strings.Contains(p.Hint, tt.hint) {
			t.Errorf("%s: %#v, want a hint at %q", tt.name, err, tt.hint)
		}
	}
	if err := explain(nil, egress.Policy{Intercept: 1}); err != nil {
		t.Errorf("no error became %v", err)
	}
}

// The bounds of the door are those of the ambassador, and of nobody where there is no door.
func TestRateOf(t *testing.T) {
	rate := spec.Rate{Out: 1, In: 2}
	limited := func(g *spec.Group) { g.Ambassador().Rate = rate }
	for name, tt := range map[string]struct {
		group *spec.Group
		want  spec.Rate
	}{
		"ambassador":    {testGroup("g", limited), rate},
		"direct":        {testGroup("g", func(g *spec.Group) { limited(g); g.Egress = spec.EgressDirect }), spec.Rate{}},
		"no ambassador": {&spec.Group{Egress: spec.EgressNone}, spec.Rate{}},
	} {
		if got := rateOf(tt.group); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
