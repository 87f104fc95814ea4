// Package integration runs the built binary against a real containerd, a real runc and the real kernel.
//
// What bites: the daemon under test lives in a network namespace of its own, so its host table and links are not the
// machine's; cgroups and /tmp are. SALLYPORT_BIN names the binary; `make integration` builds it and what the tests run.
package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	binary          string // the sallyport under test
	attackBinary    string // integration/attack, static
	attackBinary386 string // the same for the 32-bit system calls; elsewhere than on amd64 it doesn't run
	attackImage     string // an archive of busybox and the attack programs, as a group file names it
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sallyport-integration")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the programs and the image that the tests use.
func build(dir string) (err error) {
	if binary = os.Getenv("SALLYPORT_BIN"); binary == "" {
		binary = filepath.Join(dir, "sallyport")
		if err := gobuild(binary, "../cmd/sallyport"); err != nil {
			return err
		}
	}
	attackBinary = filepath.Join(dir, "attack")
	if err := gobuild(attackBinary, "./attack"); err != nil {
		return err
	}
	attackBinary386 = filepath.Join(dir, "attack386")
	if err := command("env", "GOARCH=386", "go", "build", "-o", attackBinary386, "./attack"); err != nil {
		return err
	}
	archive := filepath.Join(dir, "attack.tar")
	attackImage = "oci-archive:" + archive
	return command("go", "run", "../examples/mkimage", "-o", archive, "--applets", "/bin/busybox",
		attackBinary+":/attack", attackBinary386+":/attack386", "/bin/busybox:/bin/busybox")
}

func gobuild(out, pkg string) error {
	return command("go", "build", "-o", out, pkg)
}

func command(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %v: %w\n%s", name, args, err, out)
	}
	return nil
}
