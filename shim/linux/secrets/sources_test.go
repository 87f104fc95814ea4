package secrets

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// value may be in no error.
const value = "v4lue-of-the-secret"

func script(t *testing.T, text string) string {
	t.Helper()
	return file(t, "program", "#!/bin/sh\n"+text+"\n", 0o700)
}

func file(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSources(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	stores := t.TempDir()
	plain, encrypted := filepath.Join(stores, "credstore"), filepath.Join(stores, "credstore.encrypted")
	for path, text := range map[string]string{filepath.Join(plain, "db"): value, filepath.Join(encrypted, "sealed"): "cipher"} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{filepath.Join(plain, "pipe"), filepath.Join(encrypted, "sealedpipe")} {
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := sources{
		credentials: []string{filepath.Join(stores, "none"), plain}, encrypted: []string{encrypted},
		decrypt: script(t, `[ "$1 $2 $4" = "decrypt --name=sealed -" ] && [ "$(cat "$3")" = cipher ] && printf `+value),
	}
	large := file(t, "large", strings.Repeat(value, spec.MaxSecret/len(value)+1), 0o600)
	for _, tt := range []struct {
		name    string
		secret  spec.Secret
		want    string // of the value
		problem string
		warning bool
	}{
		{"a file, as it is", spec.Secret{File: file(t, "f", value+"\n", 0o600)}, value + "\n", "", false},
		{"a file that all can read", spec.Secret{File: file(t, "f", value, 0o644)}, value, "", true},
		{"no file", spec.Secret{File: "/nowhere/at/all"}, "", "there is no file /nowhere/at/all", false},
		{"a folder", spec.Secret{File: t.TempDir()}, "", "can't be read", false},
		{"a pipe", spec.Secret{File: pipe}, "", "can't be read", false},
		{"an empty file", spec.Secret{File: file(t, "f", "", 0o600)}, "", "has an empty value", false},
		{"a large file", spec.Secret{File: large}, "", "it has more than 1 MiB", false},
		{"a credential", spec.Secret{Credential: "db"}, value, "", false},
		{"an encrypted credential", spec.Secret{Credential: "sealed"}, value, "", false},
		{"a pipe as a credential", spec.Secret{Credential: "pipe"}, "", "can't be read", false},
		{"a pipe as an encrypted credential", spec.Secret{Credential: "sealedpipe"}, "", "it is no plain file", false},
		{"no credential", spec.Secret{Credential: "other"}, "", "there is no systemd credential other", false},
		{"a command", spec.Secret{Command: []string{script(t, `[ "$1" = x ] && [ $# = 1 ] && printf `+value+`-$SALLYPORT_GROUP-$SALLYPORT_SECRET; cat`), "x"}}, value + "-shop-s", "", false},
		{"a command that fails", spec.Secret{Command: []string{script(t, "echo "+value+" >&2; echo "+value+"; exit 3")}}, "", "ended with status 3", false},
		{"a command that is killed", spec.Secret{Command: []string{script(t, "echo "+value+"; kill -9 $$")}}, "", "was ended by a signal", false},
		{"a command that hangs", spec.Secret{Command: []string{script(t, "echo "+value+"; sleep 1000 & sleep 1000")}, Timeout: 100 * time.Millisecond}, "", "took longer than 100ms", false},
		{"a command that leaves something", spec.Secret{Command: []string{script(t, "echo "+value+"; sleep 1000 & echo $! >"+filepath.Join(stores, "left"))}}, "", "goes on printing", false},
		{"a command that prints without end", spec.Secret{Command: []string{script(t, "yes "+value+" | head -c 2000000")}}, "", "prints more than 1MiB", false},
		{"a command that prints nothing", spec.Secret{Command: []string{"/bin/true"}}, "", "has an empty value", false},
		{"no program", spec.Secret{Command: []string{"/nowhere"}}, "", "/nowhere can't be run: no such file or directory", false},
		{"no program, but a file", spec.Secret{Command: []string{large}}, "", "can't be run: permission denied", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.secret.Name = "s"
			got, _, warning, err := s.read(t.Context(), "shop", tt.secret)
			if string(got) != tt.want && tt.problem == "" || (err == nil) != (tt.problem == "") || (warning != "") != tt.warning {
				t.Errorf("it is %q, warning %q, error %v", got, warning, err)
			}
			if err != nil {
				text := hint.Text(err)
				if !strings.Contains(text, tt.problem) || !strings.HasPrefix(text, "secret s: ") {
					t.Errorf("error %q, want %q", text, tt.problem)
				}
				if strings.Contains(text, value) {
					t.Errorf("the value is in the error %q", text)
				}
			}
		})
	}
	text, err := os.ReadFile(filepath.Join(stores, "left"))
	if err != nil {
		t.Fatal(err)
	}
	for tries := 0; exec.Command("/bin/sh", "-c", "kill -0 "+string(bytes.TrimSpace(text))).Run() == nil; tries++ {
		if state, _ := os.ReadFile("/proc/" + string(bytes.TrimSpace(text)) + "/stat"); bytes.Contains(state, []byte(") Z ")) {
			break // nothing waits for it here
		}
		if tries == 100 {
			t.Fatal("what a command has left goes on")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// A credential that systemd's own program has encrypted with the key of a host.
func TestEncryptedCredential(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("systemd-creds")
	if err != nil {
		t.Skip("systemd-creds is not installed")
	}
	dir := t.TempDir()
	environ := append(os.Environ(), "SYSTEMD_CREDENTIAL_SECRET="+filepath.Join(dir, "key"))
	encrypt := exec.Command(program, "encrypt", "--with-key=host", "--name=db", "-", filepath.Join(dir, "db"))
	encrypt.Env, encrypt.Stdin = environ, strings.NewReader(value)
	if out, err := encrypt.CombinedOutput(); err != nil {
		t.Skipf("no key of a host here: %v: %s", err, out)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "db"))
	if err != nil || bytes.Contains(sealed, []byte(value)) {
		t.Fatalf("it is not encrypted (%v)", err)
	}
	s := sources{encrypted: []string{dir}, decrypt: script(t, "SYSTEMD_CREDENTIAL_SECRET="+filepath.Join(dir, "key")+" exec "+program+` "$@"`)}
	got, _, _, err := s.read(t.Context(), "shop", spec.Secret{Name: "s", Credential: "db"})
	if err != nil || string(got) != value {
		t.Errorf("it is %q (%v)", got, err)
	}
	if err := os.Rename(filepath.Join(dir, "db"), filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := s.read(t.Context(), "shop", spec.Secret{Name: "s", Credential: "other"}); err == nil || !strings.Contains(err.Error(), "ended with status") {
		t.Errorf("under another name: %v", err)
	}
}
