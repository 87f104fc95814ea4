package group

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/host"
)

// execRefused match the lines that are printed when the kernel refuses to run a program: by a
// runtime or the init of a container, by a shell that runs a script, and by a shell that runs a
// line. A shell names the path of the program. Its kill and other words of its own may not be
// permitted for other reasons.
var execRefused = regexp.MustCompile(`^(exec .*: operation not permitted` +
	`|[^ :]+: (line )?\d+: (exec: \S+|\S*/\S+): Operation not permitted` +
	`|([^ :]*/)?(a|ba|da)?sh: (exec: \S+|\S*/\S+): Operation not permitted)$`)

// ExplainOutput returns a hint about the last lines of a container that has ended. It is empty if
// they are not known.
func ExplainOutput(lines []string) string {
	if slices.ContainsFunc(lines, func(l string) bool { return execRefused.MatchString(strings.TrimSpace(l)) }) {
		return host.FileCapabilities
	}
	return ""
}
