package group

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
)

// execRefused matches the line that a runtime, or the init of a container, prints when the kernel
// refuses to run the program.
var execRefused = regexp.MustCompile(`^exec .*: operation not permitted$`)

// ExplainOutput returns a hint about the last lines of a container that has ended. It is empty if
// they are not known.
func ExplainOutput(lines []string) string {
	if slices.ContainsFunc(lines, func(l string) bool { return execRefused.MatchString(strings.TrimSpace(l)) }) {
		return host.FileCapabilities
	}
	return ""
}
