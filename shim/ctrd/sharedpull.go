package ctrd

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/shim"
)

// sharedPulls make several callers who want the same image at the same time share one pull or import.
type sharedPulls struct {
	mu      sync.Mutex
	running map[string]*sharedPull
}

// A sharedPull is one piece of work and the number of those who wait for it.
type sharedPull struct {
	done    chan struct{} // closed when img and err are set
	img     shim.Image
	err     error
	cancel  context.CancelFunc
	waiters int
}

// do runs work, or waits for the work under that key which is running. Work goes on while anybody waits for it, whoever began
// it; the last one to give up ends it, and returns when it has ended.
func (f *sharedPulls) do(ctx context.Context, key string, work func(context.Context) (shim.Image, error)) (shim.Image, error) {
	f.mu.Lock()
	if f.running == nil {
		f.running = make(map[string]*sharedPull)
	}
	p := f.running[key]
	if p == nil {
		wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p = &sharedPull{done: make(chan struct{}), cancel: cancel}
		f.running[key] = p
		go func() {
			p.img, p.err = work(wctx)
			f.end(key, p)
			cancel()
			close(p.done)
		}()
	}
	p.waiters++
	f.mu.Unlock()

	select {
	case <-p.done:
		return p.img, p.err
	case <-ctx.Done():
	}
	f.mu.Lock()
	p.waiters--
	last := p.waiters == 0
	if last && f.running[key] == p {
		// Nobody may join what is about to be cancelled.
		delete(f.running, key)
	}
	f.mu.Unlock()
	if last {
		p.cancel()
		<-p.done
	}
	return shim.Image{}, context.Cause(ctx)
}

// land takes a sharedPull out of the air, if it has not been replaced.
func (f *sharedPulls) end(key string, p *sharedPull) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[key] == p {
		delete(f.running, key)
	}
}
