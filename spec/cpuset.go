package spec

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// maxCPUNumber is the highest number of a processor that any Linux has.
const maxCPUNumber = 8191

// cpuset reads on which processors of the host a container runs: "0-3,6", sorted and as short as it
// can be written.
func (r reader) cpuset() string {
	s, at, ok := r.text("cpuset", optional)
	if !ok {
		return ""
	}
	cpus, problem := ParseCPUs(s)
	if problem != "" {
		r.errorf(at, "Invalid cpuset", "%s %s", quote(s), problem)
		return ""
	}
	return formatCPUs(cpus)
}

// ParseCPUs returns the numbers of a list such as "0-3,6", sorted. An empty problem means that it
// is valid. Else it is the end of a sentence that the list begins.
func ParseCPUs(s string) (cpus []int, problem string) {
	const form = `is no list of processors. Write numbers and ranges from 0 on: "0-3,6"`
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		a, err := strconv.ParseUint(first, 10, 16)
		b, err2 := strconv.ParseUint(last, 10, 16)
		switch {
		case err != nil || err2 != nil || a > b:
			return nil, form
		case b > maxCPUNumber:
			return nil, fmt.Sprintf("has a number above %d, and no Linux has so many processors.", maxCPUNumber)
		}
		for n := a; n <= b; n++ {
			cpus = append(cpus, int(n))
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), ""
}

// formatCPUs returns sorted numbers as a list.
func formatCPUs(cpus []int) string {
	var parts []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		part := strconv.Itoa(cpus[i])
		if j > i {
			part += "-" + strconv.Itoa(cpus[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}
