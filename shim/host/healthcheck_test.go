package host_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/spec"
)

// What the file has counts before what the image has, and that before docker's defaults.
func TestHealthcheckProbe(t *testing.T) {
	args := []string{"/check"}
	full := host.Healthcheck{Args: args, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second, Retries: 5}
	file := spec.Probe{
		Kind: "ready", Image: true, InitialDelay: 9, Interval: time.Minute, Timeout: time.Minute, StartPeriod: time.Minute, StartInterval: time.Minute,
		Failures: 6, Successes: 2,
	}
	fromFile := file
	fromFile.Image, fromFile.Exec = false, args
	for _, tt := range []struct {
		name  string
		check host.Healthcheck
		probe spec.Probe
		want  spec.Probe
	}{
		{"defaults", host.Healthcheck{Args: args}, spec.Probe{Image: true, Successes: 1},
			spec.Probe{Exec: args, Interval: 30 * time.Second, Timeout: 30 * time.Second, Failures: 3, Successes: 1}},
		{"image", full, spec.Probe{Image: true}, spec.Probe{
			Exec: args, Interval: time.Second, Timeout: 2 * time.Second, StartPeriod: 3 * time.Second, StartInterval: 4 * time.Second, Failures: 5,
		}},
		{"file", full, file, fromFile},
		{"too little", host.Healthcheck{Args: args, Interval: 1, Timeout: 1, StartPeriod: -1, StartInterval: 1, Retries: -1}, spec.Probe{Image: true}, spec.Probe{
			Exec: args, Interval: 100 * time.Millisecond, Timeout: time.Millisecond, StartInterval: 100 * time.Millisecond, Failures: 1,
		}},
		{"too much", host.Healthcheck{Args: args, Interval: 1 << 60, Timeout: 1 << 60, StartPeriod: 1 << 60, StartInterval: 1 << 60, Retries: 1 << 40}, spec.Probe{Image: true}, spec.Probe{
			Exec: args, Interval: time.Hour, Timeout: time.Hour, StartPeriod: time.Hour, StartInterval: time.Hour, Failures: 1000,
		}},
	} {
		if diff := cmp.Diff(tt.want, tt.check.Probe(tt.probe)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.name, diff)
		}
	}
}
