package netnsbench

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// An Arm is one of the paths that a benchmark compares.
type Arm struct {
	Name   string
	Setups []Setup // as many as every other arm has
}

// A Setup is where an arm runs for a part of the comparison. Two arms can exchange their setups
// half-way. Then an accidental advantage of one setup, such as its place in memory, affects both
// arms alike.
type Setup struct {
	Client  *Load
	To      netip.Addr
	Prepare func() // optional: makes the path that the arm is about
}

// In each round every arm has one turn. A ratio compares turns within a tenth of a second, so that
// other load of the machine affects all arms alike. Many short rounds are more exact than a few
// long ones.
const (
	rounds = 200 // over all setups
	turn   = 20 * time.Millisecond
	settle = 300 * time.Millisecond // after a change of setups: the kernel frees old rules a while later
)

// Compare measures each quantity over each arm, turn by turn. The first arm is the control. For
// each other arm it reports the median, and its ratio to the control's median with the ratio's
// quartiles. With -short the numbers mean nothing.
func Compare(b *testing.B, quantities []Quantity, arms ...Arm) {
	b.Helper()
	rounds, settle := rounds, settle
	if testing.Short() {
		rounds, settle = 4, 0
	}
	setups := len(arms[0].Setups)
	for _, q := range quantities {
		values := make([][]float64, len(arms))
		for setup := range setups {
			for _, a := range arms {
				if prepare := a.Setups[setup].Prepare; prepare != nil {
					prepare()
				}
			}
			time.Sleep(settle)
			for round := range rounds / setups {
				for i := range arms {
					if round%2 == 1 { // in alternating order, so that no arm always follows the same one
						i = len(arms) - 1 - i
					}
					s := arms[i].Setups[setup]
					values[i] = append(values[i], s.Client.Measure(q, s.To, turn))
				}
			}
		}
		b.Run(arms[0].Name+"/"+q.Name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(quantile(values[0], 0.5), q.Unit)
		})
		for i, a := range arms[1:] {
			r := ratios(values[i+1], values[0])
			b.Run(a.Name+"/"+q.Name, func(b *testing.B) {
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(quantile(values[i+1], 0.5), q.Unit)
				b.ReportMetric(middle(r, setups), "ratio")
				b.ReportMetric(quantile(r, 0.25), "ratio-p25")
				b.ReportMetric(quantile(r, 0.75), "ratio-p75")
			})
		}
	}
}

// middle returns the geometric mean of the setups' medians. If two equal arms exchange a fast and a
// slow setup, one median is as far above 1 as the other is below.
func middle(ratios []float64, setups int) float64 {
	product := 1.0
	for one := range slices.Chunk(ratios, len(ratios)/setups) {
		product *= quantile(one, 0.5)
	}
	return math.Pow(product, 1/float64(setups))
}

func ratios(of, to []float64) []float64 {
	out := make([]float64, len(of))
	for i := range of {
		out[i] = of[i] / to[i]
	}
	return out
}

// quantile returns the value at that place of all, interpolated between two values.
func quantile(values []float64, at float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	place := at * float64(len(sorted)-1)
	low := int(place)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (place-float64(low))*(sorted[low+1]-sorted[low])
}
