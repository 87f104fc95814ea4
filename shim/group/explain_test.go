package group

import (
	"testing"

	"github.com/sallyport/sallyport/shim/host"
)

func TestExplainOutput(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{nil, ""},
		{[]string{"exec /bin/ping: operation not permitted"}, host.FileCapabilities},
		{[]string{"starting", "exec /opt/a b: operation not permitted"}, host.FileCapabilities},
		{[]string{"cp: x: operation not permitted"}, ""},
		{[]string{"exec /bin/x: exec format error"}, ""},
	} {
		if got := ExplainOutput(tt.lines); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.lines, got, tt.want)
		}
	}
}
