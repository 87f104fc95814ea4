package child

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/sallyport/sallyport/shim/hint"
)

// FindContainerd looks for containerd on PATH. If there is none, the error is a [hint.Error].
func FindContainerd() (string, error) {
	path, err := exec.LookPath("containerd")
	if err != nil {
		return "", &hint.Error{Err: errors.New("containerd is not installed"), Hint: "apt-get install containerd runc"}
	}
	return filepath.Abs(path)
}

// checkBinaries checks that everything which will be run exists, long before it is run.
func checkBinaries(containerd, runtime string) error {
	if _, err := exec.LookPath(containerd); err != nil {
		return &hint.Error{Err: fmt.Errorf("containerd: %w", err), Hint: "name an executable containerd"}
	}
	const shimName = "containerd-shim-runc-v2"
	if _, err := exec.LookPath(filepath.Join(filepath.Dir(containerd), shimName)); err != nil {
		if _, err := exec.LookPath(shimName); err != nil {
			return &hint.Error{
				Err:  fmt.Errorf("%s is neither beside %s nor on PATH", shimName, containerd),
				Hint: "apt-get install containerd",
			}
		}
	}
	if _, err := exec.LookPath(runtime); err != nil {
		return &hint.Error{Err: fmt.Errorf("%s is not installed", runtime), Hint: "apt-get install " + filepath.Base(runtime)}
	}
	return nil
}
