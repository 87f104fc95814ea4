package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/sallyport/sallyport/shim/ctrd"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/linux/disks"
	"github.com/sallyport/sallyport/spec"
)

// disksAge is how long an answer about full disks is used again. Finding what fills them takes
// seconds.
const disksAge = 10 * time.Second

// diskSource returns a function that finds the disks of the daemon. One call at a time looks for
// what fills them.
func diskSource(l layout.Layout, layers func(context.Context) ([]host.Layer, error)) func(context.Context) []host.Disk {
	var mu sync.Mutex
	var last []host.Disk
	var at time.Time
	return func(ctx context.Context) []host.Disk {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(at) > disksAge {
			if last = disks.Find(context.WithoutCancel(ctx), l, layers); len(fullDisks(last)) > 0 {
				at = time.Now()
			}
		}
		return last
	}
}

// usageSource returns a function that finds what takes the room of the daemon. Callers share a run
// that is under way, since it counts files.
func usageSource(l layout.Layout, s disks.Sources) func(context.Context) host.Usage {
	var runs singleflight.Group
	return func(ctx context.Context) host.Usage {
		found, _, _ := runs.Do("", func() (any, error) { return disks.Usage(context.WithoutCancel(ctx), l, s), nil })
		return found.(host.Usage)
	}
}

// checkDisks names what fills a disk. It asks containerd for the containers' layers. If it doesn't
// answer, the layers count as containerd's.
func checkDisks(ctx context.Context, l layout.Layout, rt runtimeFlags) (string, error) {
	choice, err := rt.choose(l)
	if err != nil {
		return "", err
	}
	if choice == privateContainerd {
		choice = rt.child(l).Address()
	}
	client, err := ctrd.New(ctrd.Config{Address: choice, Layout: l})
	if err != nil {
		return "", err
	}
	defer client.Close()
	all := disks.Find(ctx, l, client.Layers)
	full := fullDisks(all)
	if len(full) == 0 {
		var texts []string
		for _, d := range all {
			texts = append(texts, fmt.Sprintf("%s of %s free at %s", spec.FormatSize(int64(d.Free)), spec.FormatSize(int64(d.Size)), d.Path))
		}
		return cmp.Or(strings.Join(texts, ", "), "the folders are not there yet"), nil
	}
	var texts []string
	for _, d := range full {
		texts = append(texts, diskText(d))
	}
	return "", unmet(diskHint(full[0]), "%s", strings.Join(texts, "; "))
}
