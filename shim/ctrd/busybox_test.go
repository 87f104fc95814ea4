package ctrd

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/ctrdtest"
)

// busyboxArchive builds an OCI archive with busybox as its one program, and gives its absolute
// path. Its command is /bin/sh, and it has links for the programs that tests run.
func busyboxArchive(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busybox.tar")
	ctrdtest.WriteOCI(t, path, busyboxImage(t))
	return path
}

// busyboxImage is the image of busyboxArchive, changed by edits.
func busyboxImage(t testing.TB, edits ...func(*ocispec.Image)) ctrdtest.Image {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		ctrdtest.Missing(t, "busybox-static is not installed")
	}
	files := []ctrdtest.File{{Name: "bin/", Mode: 0o755}, {Name: "tmp/", Mode: 0o1777}, {Name: "etc/", Mode: 0o755}, {Name: "bin/busybox", Mode: 0o755, Body: busybox}}
	for _, name := range []string{"sh", "sleep", "cat", "id", "true", "false", "echo", "nc", "wget", "ls", "kill", "touch", "env", "pwd", "mount", "stat", "dd", "ps"} {
		files = append(files, ctrdtest.File{Name: "bin/" + name, Link: "busybox"})
	}
	files = append(files,
		ctrdtest.File{Name: "etc/passwd", Mode: 0o644, Body: []byte("root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n")},
		ctrdtest.File{Name: "etc/group", Mode: 0o644, Body: []byte("root:x:0:\nweb:x:1000:\nlogs:x:2000:web\n")})
	cfg := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	return ctrdtest.Build(t, cfg, ctrdtest.Tar(t, files))
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
