package life

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/integration/machine"
	"github.com/sallyport/sallyport/shim/group"
)

// twoPublished is a group of two with a link and published ports.
const twoPublished = `
group "%[2]s" {
  app "app" {` + asleep + `  }
  ambassador "amb" {` + asleep + `
    publish "one" {
      port = 80
      host = %[3]d
    }
  }
}
`

// manyAtOnce is how many groups are applied, and removed, at the same time.
const manyAtOnce = 24

// TestManyAtOnce applies many groups at the same time, and removes them so. None fails, and no shim
// is left.
func TestManyAtOnce(t *testing.T) {
	m := machine.New(t, "")
	client := m.Client()
	each := func(verb string, do func(name string, n int) error) {
		var all sync.WaitGroup
		for n := range manyAtOnce {
			all.Go(func() {
				name := fmt.Sprintf("g%d", n)
				if err := do(name, n); err != nil {
					t.Errorf("%s %s: %v", verb, name, err)
				}
			})
		}
		all.Wait()
	}
	each("apply", func(name string, n int) error {
		text := fmt.Sprintf(twoPublished, machine.AttackImage, name, 20000+n)
		return client.Apply(t.Context(), []group.Bundle{{Name: name + ".hcl", Path: "/nowhere/" + name + ".hcl", HCL: []byte(text)}}, nil)
	})
	for _, st := range m.PS() {
		if st.State != group.Running {
			t.Errorf("%s is %s: %s", st.Name, st.State, st.Error)
		}
	}
	each("remove", func(name string, _ int) error { return client.Remove(t.Context(), name, nil) })
}
