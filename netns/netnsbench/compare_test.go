package netnsbench

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2, 5}
	for at, want := range map[float64]float64{0: 1, 0.25: 2, 0.5: 3, 0.75: 4, 0.9: 4.6, 1: 5} {
		if got := quantile(values, at); got != want {
			t.Errorf("quantile %v of %v is %v, want %v", at, values, got, want)
		}
	}
	if got := quantile([]float64{7}, 0.25); got != 7 {
		t.Errorf("quantile of a single value is %v, want it", got)
	}
}

func TestRatiosAreOfTheSameRound(t *testing.T) {
	if diff := cmp.Diff([]float64{0.5, 2}, ratios([]float64{1, 8}, []float64{2, 4})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASetupsSpeedCancelsOut(t *testing.T) {
	ratios := []float64{2, 2.2, 1.8, 0.5, 0.6, 0.4}
	if got := middle(ratios, 2); math.Abs(got-1) > 1e-9 {
		t.Errorf("two equal arms, one setup twice as fast: ratio %v, want 1", got)
	}
	if got := middle(ratios[:3], 1); got != 2 {
		t.Errorf("a single setup: ratio %v, want its median", got)
	}
}
