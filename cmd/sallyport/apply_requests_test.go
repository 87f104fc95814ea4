package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
	"github.com/sallyport/sallyport/shim/group"
)

// An askedKeeper records what an apply asks.
type askedKeeper struct {
	api.Keeper
	asked []string
}

func (k *askedKeeper) Problems() []group.FileProblem {
	k.asked = append(k.asked, "problems")
	return k.Keeper.Problems()
}

func (k *askedKeeper) Preview(ctx context.Context, files []group.Bundle) ([]group.Preview, error) {
	k.asked = append(k.asked, "preview")
	return k.Keeper.Preview(ctx, files)
}

func (k *askedKeeper) Apply(ctx context.Context, files []group.Bundle, progress func(string)) error {
	k.asked = append(k.asked, "apply")
	return k.Keeper.Apply(ctx, files, progress)
}

func (k *askedKeeper) Status(name string) ([]group.Status, error) {
	k.asked = append(k.asked, "status of "+name)
	return k.Keeper.Status(name)
}

// An apply asks the daemon four times, and not about groups that it has nothing to do with.
func TestWhatAnApplyAsks(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "checkout.hcl")
	if err := os.WriteFile(file, []byte("group \"checkout\" {\n  egress = \"none\"\n  app \"web\" { image = \"web:1\" }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	config := sampleDaemon(filepath.Join(dir, "calls"))
	k := &askedKeeper{Keeper: config.Keeper}
	config.Keeper = k
	t.Setenv("SALLYPORT_RUN_DIR", filepath.Dir(serveAt(t, config)))
	printed, err := os.Create(filepath.Join(dir, "printed"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	if status := run([]string{"apply", file}, newUI(nil, printed, printed, os.Environ())); status != 0 {
		text, err := os.ReadFile(printed.Name())
		t.Fatalf("exit status %d: %s, %v", status, text, err)
	}
	if diff := cmp.Diff([]string{"problems", "preview", "apply", "status of checkout"}, k.asked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
