package ctrd

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/sallyport/sallyport/shim/host"
)

func TestSharedPullIsOnePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f sharedPulls
		var runs atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				img, err := f.do(t.Context(), "a", "a", func(context.Context) (host.Image, error) {
					runs.Add(1)
					<-release
					return host.Image{Name: "a"}, nil
				})
				if err != nil || img.Name != "a" {
					t.Errorf("%v, %v", img, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if n := runs.Load(); n != 1 {
			t.Errorf("%d runs", n)
		}
		if len(f.running) != 0 {
			t.Errorf("still running: %v", f.running)
		}
	})
}

func TestSharedPullGoesOnWithoutItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f sharedPulls
		release := make(chan struct{})
		work := func(ctx context.Context) (host.Image, error) {
			select {
			case <-release:
				return host.Image{Name: "a"}, nil
			case <-ctx.Done():
				return host.Image{}, ctx.Err()
			}
		}
		first, giveUp := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := f.do(first, "a", "a", work); !errors.Is(err, context.Canceled) {
				t.Errorf("first: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := f.do(t.Context(), "a", "a", work); err != nil {
				t.Errorf("second: %v", err)
			}
		})
		synctest.Wait()
		giveUp()
		synctest.Wait()
		close(release)
		wg.Wait()
	})
}

func TestSharedPullEndsWithItsLastCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f sharedPulls
		ended := false
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := f.do(ctx, "a", "a", func(ctx context.Context) (host.Image, error) {
				<-ctx.Done()
				ended = true
				return host.Image{}, ctx.Err()
			})
			if !errors.Is(err, context.Canceled) || !ended {
				t.Errorf("%v, ended %v", err, ended)
			}
		}()
		synctest.Wait()
		cancel()
		<-done
		if len(f.running) != 0 {
			t.Errorf("still running: %v", f.running)
		}
	})
}
