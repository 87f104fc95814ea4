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
		{[]string{"/entry.sh: 2: exec: ping: Operation not permitted"}, host.FileCapabilities},
		{[]string{"/entry.sh: line 12: /usr/sbin/nginx: Operation not permitted"}, host.FileCapabilities},
		{[]string{"dash: 1: /bin/ping: Operation not permitted"}, host.FileCapabilities},
		{[]string{"/bin/sh: /bin/ping: Operation not permitted"}, host.FileCapabilities},
		{[]string{"cp: x: operation not permitted"}, ""},
		{[]string{"chown: /data: Operation not permitted"}, ""},
		{[]string{"dash: 1: kill: Operation not permitted"}, ""},
		{[]string{"sh: 1: cannot create /x: Operation not permitted"}, ""},
		{[]string{"exec /bin/x: exec format error"}, ""},
	} {
		if got := ExplainOutput(tt.lines); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.lines, got, tt.want)
		}
	}
}
