package spec

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"
)

const mebibyte = 1 << 20

var sizeUnits = map[string]int64{"B": 1, "KiB": 1 << 10, "MiB": mebibyte, "GiB": 1 << 30, "TiB": 1 << 40}

// sizeSlips are other systems' names for the units, in lower case.
var sizeSlips = map[string]string{
	"b": "B", "byte": "B", "bytes": "B",
	"k": "KiB", "kb": "KiB", "ki": "KiB", "kib": "KiB",
	"m": "MiB", "mb": "MiB", "mi": "MiB", "mib": "MiB",
	"g": "GiB", "gb": "GiB", "gi": "GiB", "gib": "GiB",
	"t": "TiB", "tb": "TiB", "ti": "TiB", "tib": "TiB",
}

var written = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([A-Za-z]*)$`)

// size reads a number of bytes such as "128MiB".
func (r reader) size(name string, low, high int64) (int64, bool) {
	s, at, ok := r.text(name, optional)
	if !ok {
		return 0, false
	}
	bytes, problem := parseSize(s)
	if problem == "" && (bytes < low || bytes > high) {
		problem = fmt.Sprintf("is out of range: %q is from %s to %s", name, exactSize(low), exactSize(high))
	}
	if problem != "" {
		r.errorf(at, "Invalid "+name, "%s %s.", quote(s), problem)
		return 0, false
	}
	return bytes, true
}

// ParseSize returns the bytes of a size such as "128MiB", for those who read no group file. An
// empty problem means that the size is valid. Otherwise it is the end of a sentence that the text
// begins.
func ParseSize(text string) (bytes int64, problem string) { return parseSize(text) }

// parseSize returns the bytes. An empty problem means that the size is valid.
func parseSize(s string) (bytes int64, problem string) {
	const form = `Write a number and one of B, KiB, MiB, GiB, TiB: "128MiB"`
	parts := written.FindStringSubmatch(s)
	if parts == nil {
		return 0, "is not a size. " + form
	}
	unit, known := sizeUnits[parts[2]]
	if !known {
		if parts[2] == "" {
			return 0, "has no unit. " + form
		}
		if meant := sizeSlips[strings.ToLower(parts[2])]; meant != "" {
			return 0, fmt.Sprintf("has an unknown unit. Did you mean %q? %s", parts[1]+meant, form)
		}
		return 0, "has an unknown unit. " + form
	}
	exact, _ := new(big.Rat).SetString(parts[1]) // the pattern admits nothing else
	exact.Mul(exact, new(big.Rat).SetInt64(unit))
	if !exact.IsInt() || !exact.Num().IsInt64() {
		return 0, "is not a whole number of bytes. " + form
	}
	return exact.Num().Int64(), ""
}

// exactSize returns a number of bytes without rounding, as a group file has it: "128MiB".
func exactSize(bytes int64) string {
	if bytes == 0 {
		return "0B"
	}
	for _, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if bytes%sizeUnits[unit] == 0 {
			return fmt.Sprintf("%d%s", bytes/sizeUnits[unit], unit)
		}
	}
	return fmt.Sprintf("%dB", bytes)
}
