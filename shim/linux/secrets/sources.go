package secrets

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
	"github.com/sallyport/sallyport/spec"
)

const (
	// settleTime is how old a change of a file has to be before the file is read. A program that
	// writes it in place has written all of it by then.
	settleTime = time.Second
	// decryptTime bounds systemd-creds, which may ask a slow TPM.
	decryptTime = 30 * time.Second
	// killTime is how long the output of a command that was killed is waited for.
	killTime = time.Second

	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// sources are the places of the host where values come from.
type sources struct {
	credentials []string // folders with systemd credentials
	encrypted   []string // folders with encrypted ones
	decrypt     string   // the program that decrypts them
}

// systemSources returns the folders that systemd has, in its order (systemd.exec(5),
// LoadCredential).
func systemSources() sources {
	s := sources{decrypt: "/usr/bin/systemd-creds"}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		s.credentials = append(s.credentials, dir)
	}
	for _, dir := range []string{"/etc/credstore", "/run/credstore", "/usr/local/lib/credstore", "/usr/lib/credstore"} {
		s.credentials = append(s.credentials, dir)
		s.encrypted = append(s.encrypted, dir+".encrypted")
	}
	return s
}

// mark returns what an earlier file would differ in, without reading the file. settled is false
// while the file may still be written.
func (s sources) mark(ctx context.Context, path string) (mark string, settled bool, err error) {
	info, err := hostfile.Stat(ctx, path)
	if err != nil {
		return "", false, cause(path, err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", false, fmt.Errorf("%s: no times", path)
	}
	changed := time.Unix(st.Ctim.Unix())
	age := time.Since(changed)
	return fmt.Sprintf("%d:%d:%d:%d", st.Dev, st.Ino, st.Size, changed.UnixNano()), age < 0 || age >= settleTime, nil
}

// read returns the value of a secret, and the mark of its file from before it was read. No error
// has any of the value.
func (s sources) read(ctx context.Context, group string, w spec.Secret) (value []byte, mark, warning string, err error) {
	switch {
	case w.File != "":
		value, mark, warning, err = s.readFile(ctx, w.File)
	case w.Credential != "":
		value, err = s.readCredential(ctx, w.Credential)
	default:
		value, err = run(ctx, w.Command, cmp.Or(w.Timeout, decryptTime), "SALLYPORT_GROUP="+group, "SALLYPORT_SECRET="+w.Name)
	}
	if err == nil && len(value) == 0 {
		err = &hint.Error{Err: fmt.Errorf("%s has an empty value", w), Hint: "write the value there"}
	}
	if err != nil {
		err = hint.Bound(fmt.Errorf("secret %s: %w", w.Name, err))
	}
	if warning != "" {
		warning = "secret " + w.Name + ": " + warning
	}
	return value, mark, warning, err
}

func (s sources) readFile(ctx context.Context, path string) (value []byte, mark, warning string, err error) {
	mark, _, err = s.mark(ctx, path)
	if err != nil {
		return nil, "", "", err
	}
	value, err = hostfile.Read(ctx, "", path, spec.MaxSecret)
	if err != nil {
		return nil, mark, "", cause(path, err)
	}
	if info, err := hostfile.Stat(ctx, path); err == nil && info.Mode().Perm()&0o004 != 0 {
		warning = fmt.Sprintf("every user of the host can read %s: chmod o-r %[1]s", path)
	}
	return value, mark, warning, nil
}

// cause words the error of a file, whose path is named once.
func cause(path string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &hint.Error{Err: fmt.Errorf("there is no file %s", path), Hint: "write it, and the group goes on by itself"}
	}
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("%s can't be read: %w", path, err)
}

// readCredential returns a systemd credential.
func (s sources) readCredential(ctx context.Context, name string) ([]byte, error) {
	for _, dir := range s.credentials {
		path := filepath.Join(dir, name)
		value, err := hostfile.Read(ctx, "", path, spec.MaxSecret)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, cause(path, err)
		}
		return value, nil
	}
	for _, dir := range s.encrypted {
		path := filepath.Join(dir, name)
		info, err := hostfile.Stat(ctx, path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, cause(path, err)
		case !info.Mode().IsRegular(): // the program would wait at a named pipe
			return nil, cause(path, errors.New("it is no plain file"))
		}
		value, err := run(ctx, []string{s.decrypt, "decrypt", "--name=" + name, path, "-"}, decryptTime)
		if err != nil {
			return nil, &hint.Error{Err: err, Hint: fmt.Sprintf("this shows why: %s decrypt --name=%s %s /dev/null", s.decrypt, name, path)}
		}
		return value, nil
	}
	return nil, &hint.Error{
		Err:  fmt.Errorf("there is no systemd credential %s", name),
		Hint: fmt.Sprintf("write it to %s/%s, or encrypt it: systemd-creds encrypt --name=%[2]s FILE %[3]s/%[2]s", "/etc/credstore", name, "/etc/credstore.encrypted"),
	}
}

// run returns what a command prints. Its standard error is dropped: it may have the value in it. It
// has no standard input, and is killed with all that it has started when its time is over.
func run(ctx context.Context, command []string, longest time.Duration, environ ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	name := command[0]
	cmd := exec.CommandContext(ctx, name, command[1:]...)
	cmd.Dir, cmd.Env = "/", append([]string{"PATH=" + searchPath, "HOME=/root"}, environ...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = killTime
	out := &bounded{most: spec.MaxSecret, over: cancel}
	cmd.Stdout = out
	err := cmd.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	const byHand = "run it by hand to see why: what it prints is not kept, since the value may be in it"
	switch {
	case out.full:
		return nil, fmt.Errorf("%s prints more than %s, and a secret has at most that", name, spec.FormatSize(spec.MaxSecret))
	case ctx.Err() == context.DeadlineExceeded:
		return nil, &hint.Error{Err: fmt.Errorf("%s took longer than %s and was killed", name, longest), Hint: byHand}
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case ended && exit.ExitCode() < 0:
		return nil, &hint.Error{Err: fmt.Errorf("%s was ended by a signal", name), Hint: byHand}
	case ended:
		return nil, &hint.Error{Err: fmt.Errorf("%s ended with status %d", name, exit.ExitCode()), Hint: byHand}
	case errors.Is(err, exec.ErrWaitDelay):
		_ = unix.Kill(-cmd.Process.Pid, unix.SIGKILL) // the group's number is taken as long as one is in it
		return nil, &hint.Error{Err: fmt.Errorf("%s ended, and something that it has started goes on printing", name), Hint: byHand}
	case err != nil:
		if at, ok := errors.AsType[*fs.PathError](err); ok {
			err = at.Err
		}
		return nil, fmt.Errorf("%s can't be run: %w", name, err)
	}
	return out.content.Bytes(), nil
}

// A bounded keeps what is written to it, up to a number of bytes.
type bounded struct {
	content bytes.Buffer
	most    int
	over    func() // called once there is more
	full    bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.content.Len()+len(p) > b.most {
		b.full = true
		b.over()
		return 0, io.ErrShortWrite
	}
	return b.content.Write(p)
}
