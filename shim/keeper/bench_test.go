package keeper_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/hosttest"
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// BenchmarkApply measures an apply of one group beside others, on a host and a disk in memory: what
// it costs besides waiting for the disk.
func BenchmarkApply(b *testing.B) {
	for _, groups := range []int{1, 200} {
		b.Run(fmt.Sprintf("groups=%d", groups), func(b *testing.B) { benchmarkApply(b, groups) })
	}
}

func benchmarkApply(b *testing.B, groups int) {
	dir, host := memoryDir(b), hosttest.New(nil)
	k, err := keeper.New(keeper.Config{
		Config: runner.Config{Runtime: host.Runtime(), Network: host.Network(), Volumes: host.Volumes(), Cgroups: host.Cgroups(), Images: host.Images()},
		Store: store.New(layout.Layout{
			GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"), LogDir: filepath.Join(dir, "log"),
		}),
		Settle: time.Hour, // only the apply is measured
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	text := func(name string, n int) string {
		return fmt.Sprintf("group %q {\n  egress = \"none\"\n  app \"a\" {\n    image   = \"registry.example/a:1\"\n    command = [\"%d\"]\n  }\n}\n", name, n)
	}
	var files []string
	for i := range groups {
		name := fmt.Sprintf("g%d", i)
		files = append(files, name+".hcl", text(name, 0))
	}
	if err := k.Apply(ctx, bundles(files...), nil); err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		if err := k.Apply(ctx, bundles("g0.hcl", text("g0", n)), nil); err != nil {
			b.Fatal(err)
		}
	}
}
