package keeper_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/group"
)

// oddFiles are things that a folder can hold in the place of a file.
var oddFiles = []struct {
	name string
	make func(path string) error
	told string
}{
	{"named pipe", func(path string) error { return unix.Mkfifo(path, 0o600) }, "it is a named pipe: put a plain file there or take it away"},
	{"link to a device", func(path string) error { return os.Symlink("/dev/zero", path) }, "leads out of its folder"},
	{"socket", func(path string) error {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
		if err != nil {
			return err
		}
		l.SetUnlinkOnClose(false)
		return l.Close()
	}, "it is a socket"},
	{"folder", func(path string) error { return os.Mkdir(path, 0o755) }, "it is a folder"},
	{"40 GB without content", func(path string) error {
		return errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, 40<<30))
	}, "it has more than 40959 MiB and may have at most"},
	{"link out of the folder", func(path string) error {
		secret := filepath.Join(filepath.Dir(path), "..", "secret")
		return errors.Join(os.WriteFile(secret, []byte(job), 0o600), os.Symlink("../secret", path))
	}, "leads out of its folder: name the file that it leads to"},
}

// Whatever stands in the folder in the place of a group file, or of a file that one names, all
// other groups are served, and one problem names it.
func TestKeeperServesAllOthersBesideAnOddFile(t *testing.T) {
	const names = "group \"odd\" {\n  egress = \"none\"\n  app \"a\" {\n    image = \"registry.example/a:1\"\n    file \"/x\" { source = \"data\" }\n  }\n}\n"
	for _, odd := range oddFiles {
		t.Run(odd.name, func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				t.Chdir(h.layout.GroupsDir) // the path of a socket is short
				if err := odd.make("odd.hcl"); err != nil {
					t.Fatal(err)
				}
				h.notice()
				h.checkOthersServed(odd.told)
				h.end() // and the next daemon
				h.begin()
				h.checkOthersServed(odd.told)
			})
		})
		t.Run(odd.name+" as a source", func(t *testing.T) {
			withHarness(t, func(t *testing.T, h *harness) {
				h.mustApply("shop.hcl", shop)
				t.Chdir(h.layout.GroupsDir)
				if err := odd.make("data"); err != nil {
					t.Fatal(err)
				}
				h.write("odd.hcl", names)
				h.checkOthersServed(odd.told)
			})
		})
	}
}

// checkOthersServed starts the shop, applies a job, stops the shop and removes the job, and checks
// that odd.hcl is the one problem.
func (h *harness) checkOthersServed(told string) {
	h.t.Helper()
	all := h.keeper.Problems()
	if len(all) != 1 || filepath.Base(all[0].Path) != "odd.hcl" || !strings.Contains(all[0].Err.Error(), told) {
		h.t.Errorf("problems %v, want one of odd.hcl with %q", all, told)
	}
	if err := h.start("shop"); err != nil {
		h.t.Error(err)
	}
	if st := h.status("shop"); st.State != group.Running {
		h.t.Errorf("the shop is %s", st.State)
	}
	if _, err := h.apply("job.hcl", job); err != nil {
		h.t.Error(err)
	}
	if _, err := h.stop("shop"); err != nil {
		h.t.Error(err)
	}
	if err := h.keeper.Remove(h.t.Context(), "job", nil); err != nil {
		h.t.Error(err)
	}
}
