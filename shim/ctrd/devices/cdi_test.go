package devices

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/oci"
	"github.com/sallyport/sallyport/spec"
)

// withCDI is the recorded host with a CDI spec. Its devices are those of vendor.com/gpu.
func withCDI(t *testing.T, text string) Host {
	t.Helper()
	h := recorded(t, nil)
	dir := filepath.Join(h.root, "etc/cdi")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vendor.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return h
}

// whole returns an error with its hint.
func whole(err error) string { return hint.Text(err) + "; " + hint.Of(err) }

func TestFindCDI(t *testing.T) {
	library := filepath.Join(t.TempDir(), "library")
	if err := os.WriteFile(library, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	h := withCDI(t, fmt.Sprintf(`
cdiVersion: 1.1.0
kind: vendor.com/gpu
containerEdits:
  env: [VENDOR=1]
  mounts: [{hostPath: %s, containerPath: /usr/lib/library, options: [ro, bind]}]
devices:
- name: "0"
  containerEdits: {deviceNodes: [{path: /dev/nvidia0, type: c, major: 195, minor: 0}]}
- name: tun
  containerEdits: {deviceNodes: [{path: /dev/nvidia1, type: c, major: 10, minor: 200}]}
- name: stale
  containerEdits: {deviceNodes: [{path: /dev/nvidia9}]}
- name: hooked
  containerEdits: {hooks: [{hookName: createRuntime, path: /bin/sh}]}
- name: network
  containerEdits: {netDevices: [{hostInterfaceName: ib0, name: ib0}]}
`, library))
	c := spec.Container{Name: "web", CDI: []string{"vendor.com/gpu=0"}}
	given, err := h.FindCDI(c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"device /dev/nvidia0: graphics processor 195:0, rw", "CDI: files of the host, to read: 1"}, oci.DeviceLines(c, nil, given, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := oci.CheckDevices(c, nil, given, false); err != nil || len(given.Env) != 1 || given.Mounts[0].Source != library {
		t.Errorf("%+v, %v", given, err)
	}
	for name, why := range map[string]string{
		"vendor.com/gpu=1":       "no CDI spec of this host has vendor.com/gpu=1",
		"other.com/gpu=0":        "name one of vendor.com/gpu=0, vendor.com/gpu=hooked",
		"vendor.com/gpu=tun":     "With tun and tap",
		"vendor.com/gpu=stale":   "/dev/nvidia9",
		"vendor.com/gpu=hooked":  "the hook /bin/sh",
		"vendor.com/gpu=network": "ib0",
	} {
		c := spec.Container{Name: "web", CDI: []string{name}}
		given, err := h.FindCDI(c)
		if err == nil {
			err = oci.CheckDevices(c, nil, given, true)
		}
		if hint.Of(err) == "" || !strings.Contains(whole(err), why) {
			t.Errorf("%s: %s, want %q", name, whole(err), why)
		}
	}
	if given, err := recorded(t, nil).FindCDI(spec.Container{Name: "web"}); err != nil || given.Devices != nil {
		t.Errorf("without names: %+v, %v", given, err)
	}
	if _, err := recorded(t, nil).FindCDI(c); !strings.Contains(whole(err), "there is none on this host") {
		t.Errorf("without specs: %v", err)
	}
	if _, err := withCDI(t, "{").FindCDI(c); !strings.Contains(whole(err), "vendor.yaml") {
		t.Errorf("a broken spec: %s", whole(err))
	}
}

func TestKindOfFiles(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink("/etc", link); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]oci.FileKind{"/etc/passwd": oci.PlainFile, dir: oci.OtherFile, link: oci.OtherFile, dir + "/none": oci.NoFile, "/dev/null": oci.OtherFile} {
		if real, kind := kindOf(path); kind != want || path == link && real != "/etc" {
			t.Errorf("%s: %s, %d", path, real, kind)
		}
	}
	if got := soname("/etc/passwd"); got != "" {
		t.Errorf("%q", got)
	}
}
