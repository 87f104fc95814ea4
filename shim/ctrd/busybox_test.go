package ctrd

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sallyport/sallyport/shim/ctrd/archive/archivetest"
)

// busyboxArchive builds an OCI archive with busybox as its one program, and gives its absolute path. Its command is
// /bin/sh, and it has links for the programs that tests run.
func busyboxArchive(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "busybox.tar")
	archivetest.WriteOCI(t, path, busyboxImage(t))
	return path
}

// busyboxImage is the image of busyboxArchive, changed by edits.
func busyboxImage(t testing.TB, edits ...func(*ocispec.Image)) archivetest.Image {
	t.Helper()
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		missing(t, "busybox-static is not installed")
	}
	files := []archivetest.File{{Name: "bin/", Mode: 0o755}, {Name: "tmp/", Mode: 0o1777}, {Name: "etc/", Mode: 0o755}, {Name: "bin/busybox", Mode: 0o755, Body: busybox}}
	for _, name := range []string{"sh", "sleep", "cat", "id", "true", "false", "echo", "nc", "wget", "ls", "kill", "touch", "env", "pwd", "mount", "stat", "dd", "ps"} {
		files = append(files, archivetest.File{Name: "bin/" + name, Link: "busybox"})
	}
	files = append(files,
		archivetest.File{Name: "etc/passwd", Mode: 0o644, Body: []byte("root:x:0:0::/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n")},
		archivetest.File{Name: "etc/group", Mode: 0o644, Body: []byte("root:x:0:\nweb:x:1000:\nlogs:x:2000:web\n")})
	cfg := ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: runtime.GOARCH},
		Config:   ocispec.ImageConfig{Cmd: []string{"/bin/sh"}, Env: []string{"PATH=/bin"}},
	}
	for _, edit := range edits {
		edit(&cfg)
	}
	return archivetest.Build(t, cfg, archivetest.Tar(t, files))
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}
