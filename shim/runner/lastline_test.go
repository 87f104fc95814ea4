package runner

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/group"
	"github.com/sallyport/sallyport/shim/hint"
)

// The reason at the end of a program's last line gets to the caller.
func TestLastLine(t *testing.T) {
	const prometheus = `ts=2026-11-30T22:30:00.000Z caller=main.go:1321 level=error msg="Error starting the server of the web interface, which shows graphs" ` +
		`err="opening storage failed: lock DB directory: open /data/lock: permission denied"`
	containers := []group.ContainerStatus{
		{Name: "quiet"},
		{Name: "web", LastOutput: []string{"starting", prometheus, " \t"}},
		{Name: "chatty", LastOutput: []string{strings.Repeat("x", 1000) + " no disk"}},
	}
	for name, want := range map[string]string{
		"quiet":   "",
		"unknown": "",
		"web":     "; its last output: " + prometheus,
		"chatty":  "; its last output: " + strings.Repeat("x", 80) + "…" + strings.Repeat("x", hint.Long-80-len("… no disk")) + " no disk",
	} {
		if got := LastLine(containers, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
