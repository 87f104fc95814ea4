package ctrd

import (
	"context"
	"sync"

	"github.com/sallyport/sallyport/shim/host"
)

// sharedPulls make callers who want the same image at the same time share one pull or import.
type sharedPulls struct {
	mu      sync.Mutex
	running map[string]*sharedPull
}

// A sharedPull is one pull or import, and the number of callers that wait for it.
type sharedPull struct {
	done    chan struct{} // closed when img and err are set
	moved   *transfer
	img     host.Image
	err     error
	cancel  context.CancelFunc
	waiters int
}

// do runs work for an image, or waits if work runs under that key already. Work goes on while a
// caller waits for it, even if its first caller has given up. The last caller that gives up cancels
// it, and returns when it has ended. Each caller gets reports of the transfer, if its ctx asks for
// them.
func (f *sharedPulls) do(ctx context.Context, key, image string, work func(context.Context) (host.Image, error)) (host.Image, error) {
	f.mu.Lock()
	if f.running == nil {
		f.running = make(map[string]*sharedPull)
	}
	p := f.running[key]
	if p == nil {
		wctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		p = &sharedPull{done: make(chan struct{}), moved: newTransfer(), cancel: cancel}
		f.running[key] = p
		go func() {
			p.img, p.err = work(context.WithValue(wctx, transferKey{}, p.moved))
			f.end(key, p)
			cancel()
			close(p.done)
		}()
	}
	p.waiters++
	f.mu.Unlock()

	report := reportTo(ctx, image)
	defer report.stop()
	for waiting := true; waiting; {
		select {
		case <-p.done:
			if p.err == nil {
				report.end(p.moved)
			}
			return p.img, p.err
		case <-report.due():
			report.send(p.moved)
		case <-ctx.Done():
			waiting = false
		}
	}
	f.mu.Lock()
	p.waiters--
	last := p.waiters == 0
	if last && f.running[key] == p {
		// No caller may join work that is about to be cancelled.
		delete(f.running, key)
	}
	f.mu.Unlock()
	if last {
		p.cancel()
		<-p.done
	}
	return host.Image{}, context.Cause(ctx)
}

// end removes a sharedPull from the running ones, unless another has replaced it.
func (f *sharedPulls) end(key string, p *sharedPull) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running[key] == p {
		delete(f.running, key)
	}
}
