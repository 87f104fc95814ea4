package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"github.com/sallyport/sallyport/shim/ctrd"
	"github.com/sallyport/sallyport/shim/ctrd/child"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/shim/layout"
)

const (
	defaultContainerd = "/run/containerd/containerd.sock"
	privateContainerd = "private"
)

// runtimeFlags choose the containerd that runs the containers.
type runtimeFlags struct {
	Containerd string `placeholder:"SOCKET" env:"SALLYPORT_CONTAINERD" help:"Socket of the containerd to use, or private (default: the one used before, else /run/containerd/containerd.sock if it answers, else private)."`
	// ContainerdService is set by the daemon's unit: sallyport-containerd.service runs the private
	// containerd then.
	ContainerdService bool   `hidden:"" env:"SALLYPORT_CONTAINERD_SERVICE" help:"A private containerd is run by \"sallyport containerd\", never by the daemon."`
	ContainerdBin     string `placeholder:"FILE" env:"SALLYPORT_CONTAINERD_BIN" help:"Program to run as the private containerd (default: the containerd on PATH)."`
	Runtime           string `default:"runc" placeholder:"RUNTIME" env:"SALLYPORT_RUNTIME" help:"OCI runtime of new containers: runc, crun, or the path of one of the two (default runc)."`
}

// choose returns the socket of the containerd to use, or privateContainerd. It keeps an earlier
// choice, even while that containerd is down, because our containers are in it.
func (f runtimeFlags) choose(l layout.Layout) (string, error) {
	before, err := hostfile.Read(context.Background(), l.StateDir, choiceFile(l), maxChoice)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read which containerd was used before: %w", err)
	}
	choice := cmp.Or(f.Containerd, strings.TrimSpace(string(before)))
	if choice != "" {
		return choice, nil
	}
	conn, err := net.Dial("unix", defaultContainerd)
	if err != nil {
		return privateContainerd, nil
	}
	return defaultContainerd, conn.Close()
}

// remember stores a choice for the next start. A flag replaces an earlier choice. A choice that is
// already stored is not written again, since a full disk might have no room for it.
func remember(l layout.Layout, choice string) error {
	if before, err := hostfile.Read(context.Background(), l.StateDir, choiceFile(l), maxChoice); err == nil && strings.TrimSpace(string(before)) == choice {
		return nil
	}
	return renameio.WriteFile(choiceFile(l), []byte(choice+"\n"), 0o600)
}

// maxChoice limits the size of the file with the choice, in bytes.
const maxChoice = 4 << 10

func choiceFile(l layout.Layout) string { return filepath.Join(l.StateDir, "containerd.choice") }

// child returns the configuration of the private containerd of a layout.
func (f runtimeFlags) child(l layout.Layout) child.Config {
	return child.Config{
		Root: filepath.Join(l.StateDir, "containerd"), State: filepath.Join(l.RunDir, "containerd"), Binary: f.ContainerdBin, Runtime: f.Runtime,
	}
}

// checkContainerd returns the containerd that the daemon would use.
func checkContainerd(ctx context.Context, l layout.Layout, f runtimeFlags) (string, error) {
	choice, err := f.choose(l)
	if err != nil {
		return "", err
	}
	if choice == privateContainerd {
		child, err := child.New(f.child(l))
		if err != nil {
			return "", err
		}
		conn, err := net.Dial("unix", child.Address())
		if err != nil {
			return "the daemon starts a private one at " + child.Address(), nil
		}
		_ = conn.Close()
		choice = child.Address()
	}
	client, err := ctrd.New(ctrd.Config{Address: choice, Layout: l})
	if err != nil {
		return "", err
	}
	defer client.Close()
	version, err := client.Version(ctx)
	return version + " at " + choice, err
}
