package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// module is the path of this repository's Go module.
const module = "github.com/sallyport/sallyport"

// The programs and the image that the tests use. [Main] builds them.
var (
	Binary          string // the sallyport under test
	AttackBinary    string // integration/attack, static
	AttackBinary386 string // the same for the 32-bit system calls; only amd64 can run it
	AttackImage     string // an archive of busybox and the attack programs, as a group file names it
)

// Main builds what the tests of a package use, runs the tests, and exits. Each of more builds what
// only one package uses, into a folder that is removed after the tests.
func Main(m *testing.M, more ...func(dir string) error) {
	dir, err := os.MkdirTemp("", "sallyport-integration")
	for _, build := range append([]func(string) error{build}, more...) {
		if err == nil {
			err = build(dir)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the programs and the image.
func build(dir string) (err error) {
	if Binary = os.Getenv("SALLYPORT_BIN"); Binary == "" {
		Binary = filepath.Join(dir, "sallyport")
		if err := GoBuild(Binary, "cmd/sallyport"); err != nil {
			return err
		}
	}
	AttackBinary = filepath.Join(dir, "attack")
	if err := GoBuild(AttackBinary, "integration/attack"); err != nil {
		return err
	}
	AttackBinary386 = filepath.Join(dir, "attack386")
	if err := GoBuild(AttackBinary386, "integration/attack", "GOARCH=386"); err != nil {
		return err
	}
	archive := filepath.Join(dir, "attack.tar")
	AttackImage = "oci-archive:" + archive
	return PackImage(archive, AttackBinary+":/attack", AttackBinary386+":/attack386")
}

// GoBuild builds a command of this repository, named by its folder. The env comes on top of the
// environment.
func GoBuild(out, folder string, env ...string) error {
	return command(exec.Command("go", "build", "-o", out, module+"/"+folder), env...)
}

// PackImage packs programs, each "from:to", and busybox with its applets into an OCI archive.
func PackImage(archive string, programs ...string) error {
	args := []string{"run", module + "/integration/mkimage", "-o", archive, "--applets", "/bin/busybox"}
	args = append(append(args, programs...), "/bin/busybox:/bin/busybox")
	return command(exec.Command("go", args...))
}

func command(cmd *exec.Cmd, env ...string) error {
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// Image returns an image that `make images` builds, in the form of a group file.
func Image(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("SALLYPORT_IMAGES")
	if dir == "" {
		Need(t, "SALLYPORT_IMAGES names no folder; run: make integration")
	}
	return "oci-archive:" + filepath.Join(dir, name+".tar")
}
