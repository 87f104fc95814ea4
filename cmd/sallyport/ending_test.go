package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A part that hangs does not keep the daemon. One that ends in time gives its own result.
func TestEndWithin(t *testing.T) {
	own := errors.New("its own")
	for _, tt := range []struct {
		name  string
		takes time.Duration // after the signal
		want  string
	}{
		{"at once", 0, "its own"},
		{"in time", 6 * time.Second, "its own"},
		{"never", time.Hour, "did not end within 7s"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				begun := time.Now()
				err := endWithin(ctx, 7*time.Second, func() error {
					time.Sleep(time.Minute + tt.takes)
					return own
				})
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
				if took := time.Since(begun); took > time.Minute+7*time.Second {
					t.Errorf("it took %v", took)
				}
				time.Sleep(tt.takes) // what was left behind ends
			})
		})
	}
	if err := endWithin(t.Context(), time.Hour, func() error { return own }); err != own {
		t.Errorf("without a signal: %v", err)
	}
}
