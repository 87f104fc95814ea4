package main

import (
	"context"
	"os/exec"
)

func checkContainerdShim(context.Context) (string, error) {
	path, err := exec.LookPath("containerd-shim-runc-v2")
	if err != nil {
		return "", unmet("apt-get install containerd, or put the folder of containerd's programs on PATH", "containerd-shim-runc-v2 is not on PATH")
	}
	return path, nil
}
