package spec

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// Limits on the evaluation of one file. They count what is computed, so the same bytes have the
// same result on every machine. Measured: the dearest file takes
// half a second of one processor.
const (
	maxElements   = 200_000  // values that are computed, and those inside them as often as they are gone through
	maxTextBytes  = 16 << 20 // of all texts that are computed, and digits of numbers
	maxValueDepth = maxNesting
)

const (
	// perMistake is the price of one diagnostic in elements. An evaluation can make one for each
	// element of a list.
	perMistake = 100
	// typesOfElement and valuesOfElement are the elements of a list whose comparison with all
	// others costs as much as their number. A set compares all elements of one hash, and an author
	// can choose them so.
	typesOfElement, valuesOfElement = 32, 4
	// longNumber is how many digits a number has before its price grows with their square, as the
	// conversion from and to text does.
	longNumber = 1 << 10
	// stepsOfStop is how many charges are made between two questions to Source.Stop.
	stepsOfStop = 256
)

// A meter counts what the evaluation of one file computes, and ends it when a limit is reached.
//
// The evaluator of HCL can't be interrupted. It evaluates an expression through the Value methods
// of the expressions inside it. A meter therefore evaluates a copy of the tree in which each
// expression counts itself. After the limit every one of them returns at once.
type meter struct {
	stop     func() error // nil: never
	elements int          // left
	bytes    int          // left
	charges  int
	over     *limit
	calls    functionTable // the functions, with their prices
}

// A limit is the one that was reached.
type limit struct {
	at              hcl.Range
	placed          bool
	summary, detail string
}

func newMeter(stop func() error) *meter {
	m := &meter{stop: stop, elements: maxElements, bytes: maxTextBytes}
	m.calls = m.priced(functions)
	return m
}

// eval returns the value of an expression. It returns an unknown value without a mistake after a
// limit has been reached.
func (m *meter) eval(expr hclsyntax.Expression, variables map[string]cty.Value) (cty.Value, hcl.Diagnostics) {
	return m.tree(expr, walked).Value(&hcl.EvalContext{Functions: m.calls, Variables: variables})
}

// report reports the limit that was reached, if there is one.
func (m *meter) report(rep *report) {
	if m.over != nil {
		rep.errorf(m.over.at, m.over.summary, "%s", m.over.detail)
	}
}

// take counts elements and bytes. It returns false if the file has no more of them.
func (m *meter) take(elements, bytes int) bool {
	if m.over != nil {
		return false
	}
	if m.charges++; m.charges%stepsOfStop == 0 && !m.goOn() {
		return false
	}
	m.elements -= min(elements, maxElements+1)
	m.bytes -= min(bytes, maxTextBytes+1)
	switch {
	case m.elements < 0:
		m.end("Too much to compute", tooManyElements)
	case m.bytes < 0:
		m.end("Too much to compute", tooManyBytes)
	}
	return m.over == nil
}

// goOn asks the caller of Parse whether to go on.
func (m *meter) goOn() bool {
	if m.over == nil && m.stop != nil {
		if err := m.stop(); err != nil {
			m.end("Evaluation was stopped", "The evaluation of this file was stopped here: "+err.Error()+". Compute less in this file, or try again.")
		}
	}
	return m.over == nil
}

// placed notes the place of the limit that was reached, unless it has one.
func (m *meter) placed(at hcl.Range) {
	if m.over != nil && !m.over.placed {
		m.over.at, m.over.placed = at, true
	}
}

func (m *meter) end(summary, detail string) {
	m.over = &limit{summary: summary, detail: detail}
}

// A use is how an expression uses the value of one inside it, which decides the price.
type use int

const (
	held     use = iota // taken as it is, or a part of it
	walked              // gone through, or copied into a larger value
	asNumber            // gone through as a number
	compared            // the type of each of its elements is compared with that of each other one
	unique              // each of its elements is compared with each other one
)

// use counts the value of an expression.
func (m *meter) use(v cty.Value, how use) {
	elements, bytes := m.elements, m.bytes
	switch how {
	case held:
		m.take(1, 0)
		return
	case asNumber:
		m.number(v)
	}
	m.walk(v, 0)
	switch n := elements - m.elements + (bytes-m.bytes)>>10; how {
	case compared:
		m.pairs(n, typesOfElement)
	case unique:
		m.pairs(n, valuesOfElement)
	}
}

// pairs counts the comparison of each of n elements with each other one. As many as the last
// argument cost as much as one element.
func (m *meter) pairs(n, ofElement int) {
	n = min(n, maxElements) // its square fits into 64 bits
	m.take(n*n/ofElement, 0)
}

// walk counts a value and everything inside it. It stops at the limit, because values that share
// their parts can be exponentially larger than the memory that they need.
func (m *meter) walk(v cty.Value, depth int) {
	if depth > maxValueDepth {
		if m.over == nil {
			m.end("Value nested too deep", tooDeep)
		}
		return
	}
	if !m.take(1, 0) || v.IsNull() || !v.IsKnown() {
		return
	}
	switch t := v.Type(); {
	case t == cty.String:
		s := v.AsString()
		m.take(0, len(s)+squared(longestDigits(s)))
	case t == cty.Number:
		exp := v.AsBigFloat().MantExp(nil)
		m.take(0, max(exp, -exp)+squared(max(exp, -exp)/4))
	case v.CanIterateElements():
		for it := v.ElementIterator(); it.Next(); {
			key, element := it.Element()
			if key.Type() == cty.String && !t.IsSetType() {
				m.take(0, len(key.AsString()))
			}
			if m.walk(element, depth+1); m.over != nil {
				return
			}
		}
	}
}

// number counts a text that the evaluator converts to a number. The conversion of 1e600000000 has
// no cost worth to mention, but every later use of the number does.
func (m *meter) number(v cty.Value) {
	if v.Type() != cty.String || v.IsNull() || !v.IsKnown() || !m.take(0, squared(longestDigits(v.AsString()))) {
		return
	}
	if n, err := cty.ParseNumberVal(v.AsString()); err == nil {
		m.walk(n, 0)
	}
}

// squared returns the price of a number's digits in bytes, beyond that of the text.
func squared(digits int) int {
	if digits < longNumber {
		return 0
	}
	digits = min(digits, maxTextBytes)
	return digits * (digits / longNumber)
}

// longestDigits returns the length of the longest run of decimal digits.
func longestDigits(s string) int {
	longest, run := 0, 0
	for i := range len(s) {
		if run++; s[i] < '0' || s[i] > '9' {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
