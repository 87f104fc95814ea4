package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/shim/api"
)

// A daemon that hangs is one clear error of every verb that needs it, and not a command that never
// ends.
func TestHangingDaemon(t *testing.T) {
	patience = 20 * time.Millisecond
	t.Cleanup(func() { patience = api.Patience })
	dir, err := os.MkdirTemp("", "sp") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "sallyport.sock")
	l, err := net.Listen("unix", socket) // the kernel accepts connections, and no process takes them
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	file := filepath.Join(dir, "web.hcl")
	if err := os.WriteFile(file, []byte("group \"web\" {\n egress = \"none\"\n app \"app\" { image = \"web:1\" }\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := "sallyport: error: the daemon at " + socket + " has not answered within 20ms\nsallyport: hint: see its log, " +
		"with \"journalctl -u sallyport\" where it is a service; if it hangs, restart it: the groups run on meanwhile\n"
	lines := []string{
		"ps", "status web", "logs web", "logs web.app", "logs -f web.app", "events", "events -f", "denials", "denials -f", "df", "df web", "images", "images prune", "images rm web:1", "images load FILE", "pull web", "login -u bob --password-stdin registry.example", "logout registry.example", "exec web -- true", "signal web HUP", "port-forward web 0:80", "cp web:/x .", "cp FILE web:/x",
		"restart web", "stop web", "start web", "history web", "history web --file 1", "rollback web", "wait web",
		"run FILE", "run -d FILE", "run ls",
		"diff web",
		"rm web", "rm web.hcl", "rm --volumes web", "plan FILE", "apply FILE", "lock FILE",
	}
	checkVerbs(t, lines, "version", "validate", "fmt", "schema", "daemon", "containerd", "output", "follow", "doctor") // these need no daemon
	for _, line := range lines {
		t.Run(line, func(t *testing.T) {
			null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer null.Close()
			var stderr bytes.Buffer
			ui := newUI(null, null, null, nil)
			ui.err = &stderr
			status := run(argsOf(socket, strings.ReplaceAll(line, "FILE", file)), ui)
			wantStatus := statusFailed
			if line == "wait web" || line == "exec web -- true" || strings.HasPrefix(line, "run ") {
				wantStatus = statusOwn
			}
			if status != wantStatus {
				t.Errorf("exit status %d, want %d", status, wantStatus)
			}
			if diff := cmp.Diff(want, stderr.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}
