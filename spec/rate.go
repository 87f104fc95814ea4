package spec

import (
	"fmt"
	"math/big"
	"regexp"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// Limits on a rate. Below the lower one a single full packet takes more than a second.
const (
	minRate = 8_000
	maxRate = 1_000_000_000_000
)

var rateUnits = map[string]int64{"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}

// rateSlips are other systems' names for the units, in lower case.
var rateSlips = map[string]string{
	"b": "bit", "bit": "bit", "bits": "bit",
	"k": "kbit", "kb": "kbit", "kbit": "kbit", "kbits": "kbit",
	"m": "Mbit", "mb": "Mbit", "mbit": "Mbit", "mbits": "Mbit",
	"g": "Gbit", "gb": "Gbit", "gbit": "Gbit", "gbits": "Gbit",
}

var writtenRate = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,6})?) ?(\S*)$`)

// rate reads how many bits per second may pass the door, each way.
func (d *groupDecoder) rate(door *hclsyntax.Block) (rate Rate) {
	block := single(door, "rate")
	if block == nil {
		return rate
	}
	r := d.in(block)
	if !r.has("out") && !r.has("in") {
		d.errorf(block.DefRange(), "Empty rate", "A rate without a bound bounds nothing. Write out = \"2Mbit\", in = \"10Mbit\" or both, or remove the block.")
	}
	rate.Out = r.bitRate("out")
	rate.In = r.bitRate("in")
	return rate
}

// bitRate reads a number of bits per second such as "2Mbit".
func (r reader) bitRate(name string) int64 {
	s, at, ok := r.text(name, optional)
	if !ok {
		return 0
	}
	bits, problem := parseRate(s)
	if problem == "" && (bits < minRate || bits > maxRate) {
		problem = fmt.Sprintf("is out of range: %q is from %s to %s", name, FormatRate(minRate), FormatRate(maxRate))
	}
	if problem != "" {
		r.errorf(at, "Invalid rate", "%s %s.", quote(s), problem)
		return 0
	}
	return bits
}

// parseRate returns the bits per second. An empty problem means that the rate is valid.
func parseRate(s string) (bits int64, problem string) {
	const form = `Write a number and one of bit, kbit, Mbit, Gbit, all of them per second: "2Mbit"`
	parts := writtenRate.FindStringSubmatch(s)
	if parts == nil {
		return 0, "is not a rate. " + form
	}
	number, unit := parts[1], parts[2]
	size, known := rateUnits[unit]
	if !known {
		bare := strings.TrimSuffix(strings.TrimSuffix(unit, "/s"), "ps")
		meant := rateSlips[strings.ToLower(bare)]
		switch {
		case unit == "":
			return 0, "has no unit. " + form
		case strings.HasSuffix(bare, "B") || strings.Contains(strings.ToLower(bare), "byte"):
			return 0, "is in bytes, and a rate is in bits. A byte has eight bits. " + form
		case meant != "":
			return 0, fmt.Sprintf("has an unknown unit. Did you mean %q? %s", number+meant, form)
		}
		return 0, "has an unknown unit. " + form
	}
	exact, _ := new(big.Rat).SetString(number) // the pattern admits nothing else
	exact.Mul(exact, new(big.Rat).SetInt64(size))
	if !exact.IsInt() || !exact.Num().IsInt64() {
		return 0, "is not a whole number of bits. " + form
	}
	return exact.Num().Int64(), ""
}
