package ctrd

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/typeurl/v2"
)

// runtime describes the runtime of a new container. containerd keeps it with the container, so one
// that runs keeps its runtime when the setting changes. One shim serves containers of
// several runtimes.
func (c *Client) runtime() (containers.RuntimeInfo, error) {
	info := containers.RuntimeInfo{Name: runtimeName}
	if c.cfg.Runtime == "" {
		return info, nil
	}
	var err error
	info.Options, err = typeurl.MarshalAny(&options.Options{BinaryName: c.cfg.Runtime})
	return info, err
}

// runtimeOf returns the program that made the container whose folder this is, if it was made from
// that bundle. Else it returns "". A container of another containerd may have the same id.
//
// runc and crun keep their containers in the same folder, each in files of its own. A container of
// crun was never made, as far as runc knows. So "runc delete --force" removes its folder and leaves
// its processes (delete.go, ErrNotExist).
func (c *Client) runtimeOf(folder, bundle string) string {
	var runc struct {
		Config struct {
			Labels []string `json:"labels"`
		} `json:"config"`
	}
	if readJSON(filepath.Join(folder, "state.json"), &runc) && slices.Contains(runc.Config.Labels, "bundle="+bundle) {
		return c.program(bundle, "runc")
	}
	var crun struct {
		Bundle string `json:"bundle"`
	}
	if readJSON(filepath.Join(folder, "status"), &crun) && crun.Bundle == bundle {
		return c.program(bundle, "crun")
	}
	return ""
}

// program returns the path of a bundle's runtime, or else its name. The shim writes the path that
// it was given into the bundle (WriteRuntime in containerd's cmd/containerd-shim-runc-v2/runc, 1.6
// to 2.4). A bundle that is gone may have been made with the path of this client.
func (c *Client) program(bundle, name string) string {
	if written, _ := os.ReadFile(filepath.Join(bundle, "runtime")); filepath.IsAbs(string(written)) {
		return string(written)
	}
	if c.cfg.Runtime != "" && c.chosen() == name {
		return c.cfg.Runtime
	}
	return name
}

// chosen returns which runtime was chosen, runc or crun: by the name of its file, or else by the
// first word that it prints as its version.
func (c *Client) chosen() string {
	for _, name := range []string{"runc", "crun"} {
		if strings.HasPrefix(filepath.Base(c.cfg.Runtime), name) {
			return name
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), leftoverTimeout)
	defer cancel()
	out, _ := exec.CommandContext(ctx, c.cfg.Runtime, "--version").Output() // without an answer it is neither
	name, _, _ := strings.Cut(string(out), " ")
	return name
}

// readJSON reports whether a file could be read into a value.
func readJSON(path string, into any) bool {
	b, err := os.ReadFile(path)
	return err == nil && json.Unmarshal(b, into) == nil
}
