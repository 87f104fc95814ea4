package keeper

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/runner"
	"github.com/sallyport/sallyport/shim/store"
)

// A runner that ran without a wanted definition would remove the group that it is to adopt.
func TestRunnersStartWithAWantedDefinition(t *testing.T) {
	dir := t.TempDir()
	l := layout.Layout{GroupsDir: filepath.Join(dir, "groups.d"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run")}
	k := &Keeper{config: Config{Store: store.New(l)}, runners: map[string]*runner.Runner{}}
	var started []string
	k.spawn = func(r *runner.Runner) {
		if w, _, _ := r.Watch(); w == nil {
			t.Errorf("the runner of %s started without a wanted definition", r.Group())
		}
		started = append(started, r.Group())
	}
	if err := os.MkdirAll(l.GroupsDir, 0o700); err != nil {
		t.Fatal(err)
	}
	text := `group "g" {
  egress = "none"
  app "a" { image = "registry.example/a:1" }
}`
	if err := os.WriteFile(filepath.Join(l.GroupsDir, "g.hcl"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := k.config.Store.ReadFolder(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.load(loading{reading: r}); err != nil {
		t.Fatal(err)
	}
	if len(started) != 1 {
		t.Errorf("started %v, want the runner of g", started)
	}
}
