package netnstest

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// An Arm is one of the paths that a benchmark compares.
type Arm struct {
	Name   string
	Client *Load
	To     netip.Addr
	Turn   func() // optional: makes the path what it should be, before each of the arm's turns
}

// How a comparison goes. Ratios of one round are of turns within a second or two of each other, so that whatever else the
// machine does in the meantime falls on all arms alike; their median and quartiles are told.
const (
	rounds = 21
	turn   = 100 * time.Millisecond
	settle = 100 * time.Millisecond // after a change of arms: the kernel frees old rules a while later
)

// Compare measures each quantity over each arm, turn by turn, and reports for every arm but the first, which is the control,
// the median, and its ratio to the control's with the ratio's quartiles. With -short the numbers mean nothing.
func Compare(b *testing.B, quantities []Quantity, arms ...Arm) {
	b.Helper()
	rounds, turn, settle := rounds, turn, settle
	if testing.Short() {
		rounds, turn, settle = 3, turn/3, 0
	}
	for _, q := range quantities {
		values := make([][]float64, len(arms))
		for round := range rounds {
			for i := range arms {
				if round%2 == 1 { // there and back: nobody always comes after the same
					i = len(arms) - 1 - i
				}
				if arms[i].Turn != nil {
					arms[i].Turn()
					time.Sleep(settle)
				}
				values[i] = append(values[i], arms[i].Client.Measure(q, arms[i].To, turn))
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
				b.ReportMetric(quantile(r, 0.5), "ratio")
				b.ReportMetric(quantile(r, 0.25), "ratio-p25")
				b.ReportMetric(quantile(r, 0.75), "ratio-p75")
			})
		}
	}
}

func ratios(of, to []float64) []float64 {
	out := make([]float64, len(of))
	for i := range of {
		out[i] = of[i] / to[i]
	}
	return out
}

// quantile is the value at that place of all, between two of them in proportion.
func quantile(values []float64, at float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	place := at * float64(len(sorted)-1)
	low := int(place)
	if low == len(sorted)-1 {
		return sorted[low]
	}
	return sorted[low] + (place-float64(low))*(sorted[low+1]-sorted[low])
}
