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
	Name  string
	Lanes []Lane // as many as every other arm has
}

// A Lane is where an arm runs for a part of the comparison. Two arms that change lanes half-way each have both of them, in the
// other order: what one lane has by accident, its place in memory say, falls on both arms alike.
type Lane struct {
	Client  *Load
	To      netip.Addr
	Prepare func() // optional: makes the path what the arm says it is
}

// How a comparison goes. The ratios of one round are of turns within a tenth of a second, so that whatever else the machine
// does in the meantime falls on all arms alike; many short rounds tell more than a few long ones.
const (
	rounds = 200 // over all lanes
	turn   = 20 * time.Millisecond
	settle = 300 * time.Millisecond // after a change of lanes: the kernel frees old rules a while later
)

// Compare measures each quantity over each arm, turn by turn, and reports for every arm but the first, which is the control,
// the median, and its ratio to the control's with the ratio's quartiles. With -short the numbers mean nothing.
func Compare(b *testing.B, quantities []Quantity, arms ...Arm) {
	b.Helper()
	rounds, settle := rounds, settle
	if testing.Short() {
		rounds, settle = 4, 0
	}
	lanes := len(arms[0].Lanes)
	for _, q := range quantities {
		values := make([][]float64, len(arms))
		for lane := range lanes {
			for _, a := range arms {
				if prepare := a.Lanes[lane].Prepare; prepare != nil {
					prepare()
				}
			}
			time.Sleep(settle)
			for round := range rounds / lanes {
				for i := range arms {
					if round%2 == 1 { // there and back: nobody always comes after the same
						i = len(arms) - 1 - i
					}
					l := arms[i].Lanes[lane]
					values[i] = append(values[i], l.Client.Measure(q, l.To, turn))
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
				b.ReportMetric(middle(r, lanes), "ratio")
				b.ReportMetric(quantile(r, 0.25), "ratio-p25")
				b.ReportMetric(quantile(r, 0.75), "ratio-p75")
			})
		}
	}
}

// middle is the geometric mean of the lanes' medians. Had both arms the same, and one lane were faster, one median would be as
// far above 1 as the other below it.
func middle(ratios []float64, lanes int) float64 {
	product := 1.0
	for one := range slices.Chunk(ratios, len(ratios)/lanes) {
		product *= quantile(one, 0.5)
	}
	return math.Pow(product, 1/float64(lanes))
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
