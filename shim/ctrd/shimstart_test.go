package ctrd

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// never is a shim that doesn't listen at the expected address.
func never() bool { return false }

func TestShimStartsOneFirst(t *testing.T) {
	tests := []struct {
		name   string
		listen time.Duration // when the shim listens; an hour: it is not found
		want   time.Duration // until all three are created, of 50 ms each
	}{
		{"seen listening", 10 * time.Millisecond, 60 * time.Millisecond},
		{"not seen", time.Hour, 100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s shimStarts
				began := time.Now()
				var first atomic.Int32
				done := make(chan error, 3)
				for range 3 {
					go func() {
						done <- s.do(t.Context(), "g", func() bool { return time.Since(began) >= tt.listen }, func() error {
							if time.Since(began) == 0 {
								first.Add(1)
							}
							time.Sleep(50 * time.Millisecond)
							return nil
						})
					}()
				}
				for range 3 {
					if err := <-done; err != nil {
						t.Error(err)
					}
				}
				if n := first.Load(); n != 1 {
					t.Errorf("%d began without a shim, want 1", n)
				}
				if took := time.Since(began); took != tt.want {
					t.Errorf("took %v, want %v", took, tt.want)
				}
			})
		})
	}
}

// If the first fails without a shim, the next is first.
func TestShimStartsAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shimStarts
		var running, most, calls atomic.Int32
		for range 3 {
			go func() {
				_ = s.do(t.Context(), "g", never, func() error {
					most.Store(max(most.Load(), running.Add(1)))
					time.Sleep(time.Second)
					running.Add(-1)
					calls.Add(1)
					return errors.New("no shim")
				})
			}()
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if most.Load() != 1 || calls.Load() != 3 {
			t.Errorf("%d calls, %d at once, want 3 and 1", calls.Load(), most.Load())
		}
		if len(s.first) != 0 {
			t.Error("a start is remembered after its end")
		}
	})
}

func TestShimStartsGroupsApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shimStarts
		began := time.Now()
		done := make(chan time.Duration, 2)
		for _, group := range []string{"g", "h"} {
			go func() {
				_ = s.do(t.Context(), group, never, func() error { time.Sleep(time.Second); return nil })
				done <- time.Since(began)
			}()
		}
		for range 2 {
			if took := <-done; took != time.Second {
				t.Errorf("took %v, want 1s: one group waited for another", took)
			}
		}
	})
}

func TestShimStartsGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s shimStarts
		go func() {
			_ = s.do(t.Context(), "g", never, func() error { time.Sleep(time.Hour); return nil })
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := s.do(ctx, "g", never, func() error { t.Error("was let in"); return nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want deadline exceeded", err)
		}
		time.Sleep(time.Hour) // the first ends
	})
}
