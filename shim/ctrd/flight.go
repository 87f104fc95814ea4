package ctrd

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/shim"
)

// flights make several callers who want the same image at the same time share one pull or import.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
}

// A flight is one piece of work and the number of those who wait for it.
type flight struct {
	done    chan struct{} // closed when img and err are set
	img     shim.Image
	err     error
	cancel  context.CancelFunc
	waiters int
}

// do runs work, or waits for the work under that key which is running. Work goes on while anybody waits for it, whoever began
// it; the last one to give up ends it, and returns when it has ended.
func (f *flights) do(ctx context.Context, key string, work func(context.Context) (shim.Image, error)) (shim.Image, error) {
	f.mu.Lock()
	if f.flying == nil {
		f.flying = make(map[string]*flight)
	}
	fl := f.flying[key]
	if fl == nil {
		wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		fl = &flight{done: make(chan struct{}), cancel: cancel}
		f.flying[key] = fl
		go func() {
			fl.img, fl.err = work(wctx)
			f.land(key, fl)
			cancel()
			close(fl.done)
		}()
	}
	fl.waiters++
	f.mu.Unlock()

	select {
	case <-fl.done:
		return fl.img, fl.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	fl.waiters--
	last := fl.waiters == 0
	if last && f.flying[key] == fl {
		// Nobody may join what is about to be cancelled.
		delete(f.flying, key)
	}
	f.mu.Unlock()
	if last {
		fl.cancel()
		<-fl.done
	}
	return shim.Image{}, context.Cause(ctx)
}

// land takes a flight out of the air, if it has not been replaced.
func (f *flights) land(key string, fl *flight) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flying[key] == fl {
		delete(f.flying, key)
	}
}
