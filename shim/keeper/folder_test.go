package keeper_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/keeper"
)

func TestWatchFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "groups.d")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	changes, done := make(chan struct{}), make(chan error, 1)
	ctx := t.Context()
	go func() {
		done <- keeper.WatchFolder(ctx, dir, time.Millisecond, func() {
			select {
			case changes <- struct{}{}:
			case <-ctx.Done():
			}
		})
	}()
	<-changes // for changes before the watch began
	if err := os.WriteFile(filepath.Join(dir, "a.hcl"), []byte(job), 0o600); err != nil {
		t.Fatal(err)
	}
	<-changes
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for {
		select {
		case <-changes: // about the removal of the file
			continue
		case err := <-done:
			if err == nil {
				t.Error("a watch of nothing went on")
			}
		}
		return
	}
}

func TestWatchFolderEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := keeper.WatchFolder(ctx, t.TempDir(), time.Hour, func() {}); err != nil {
		t.Error(err)
	}
}

func TestWatchFolderThatIsNotThere(t *testing.T) {
	if err := keeper.WatchFolder(context.Background(), filepath.Join(t.TempDir(), "none"), time.Hour, func() {}); err == nil {
		t.Error("a folder that is not there was watched")
	}
}
