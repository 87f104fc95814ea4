package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/sallyport/sallyport/shim/disk"
	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// maxLogins limits the size of a file with logins, in bytes.
const maxLogins = 1 << 20

// helperTimeout bounds one call of a credential helper. The tests shorten it.
var helperTimeout = 30 * time.Second

// A login is shown to a registry: a user and a password, or a token that a token service takes. The
// zero value is none.
type login struct {
	user, password, token string
	file                  string // that it is from
}

// String keeps the secrets out of what is printed.
func (l login) String() string { return fmt.Sprintf("user %q of %s", l.user, l.file) }

// serverOf returns the name under which the login of a host is stored. Docker's own registry has a
// name of its own there.
func serverOf(host string) string {
	switch host {
	case "docker.io", "index.docker.io":
		host = "registry-1.docker.io"
	}
	return credentials.ServerAddressFromHostname(host)
}

// findLogin returns the login for a host from the first of the files that has one. A file that is
// absent has none.
func findLogin(ctx context.Context, files []string, host string) (login, error) {
	server := serverOf(host)
	for _, path := range files {
		store, err := openLogins(ctx, path)
		if err != nil {
			return login{}, err
		}
		if store == nil {
			continue
		}
		cred, err := store.get(ctx, server)
		if err != nil {
			return login{}, err
		}
		if cred.AccessToken != "" && cred.RefreshToken == "" && cred.Password == "" {
			return login{}, &hint.Error{
				Err:  fmt.Errorf("%s has a registry token for %s, which can't be used", path, host),
				Hint: "log in with a user and a password: sallyport login " + host,
			}
		}
		if cred != auth.EmptyCredential {
			return login{user: cred.Username, password: cred.Password, token: cred.RefreshToken, file: path}, nil
		}
	}
	return login{}, nil
}

// A loginFile is a file with logins in the form of Docker's config.json.
type loginFile struct {
	path    string
	store   *credentials.DynamicStore
	helpers helpers
}

// helpers are the programs that a file of logins names, by the end of their names.
type helpers struct {
	All string            `json:"credsStore"`
	One map[string]string `json:"credHelpers"`
}

// of returns the end of the name of the program that is asked for a server, or "".
func (h helpers) of(server string) string {
	if name := h.One[server]; name != "" {
		return name
	}
	return h.All
}

// openLogins reads a file with logins. It refuses one that others than root could have written,
// because the file names programs that run as root. The result is nil if there is no file.
func openLogins(ctx context.Context, path string) (*loginFile, error) {
	info, err := hostfile.Stat(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	if err := onlyRoots(path, info, "it may name programs that run as root"); err != nil {
		return nil, err
	}
	content, err := hostfile.Read(ctx, filepath.Dir(path), path, maxLogins)
	if err != nil {
		return nil, fmt.Errorf("read the logins: %w", err)
	}
	f := &loginFile{path: path}
	if len(bytes.TrimSpace(content)) > 0 {
		if err := json.Unmarshal(content, &f.helpers); err != nil {
			return nil, damagedLogins(path, "it is no JSON of the form of Docker's config.json")
		}
	}
	if f.store, err = credentials.NewStore(path, credentials.StoreOptions{AllowPlaintextPut: true}); err != nil {
		return nil, damagedLogins(path, "it is not of the form of Docker's config.json")
	}
	return f, nil
}

// onlyRoots refuses a file that others than root, or than the daemon's own user, may write.
func onlyRoots(path string, info fs.FileInfo, why string) error {
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || (owner.Uid == 0 || owner.Uid == uint32(os.Geteuid())) && info.Mode().Perm()&0o022 == 0 {
		return nil
	}
	return &hint.Error{
		Err:  fmt.Errorf("%s: others than root may write to it (uid %d, mode %04o), and %s", path, owner.Uid, info.Mode().Perm(), why),
		Hint: "look at what is in it, and type: chown root " + path + " && chmod go-w " + path,
	}
}

// damagedLogins has nothing of the file in its text: that may be a password.
func damagedLogins(path, why string) error {
	return &hint.Error{Err: fmt.Errorf("%s: %s", path, why), Hint: "mend the file, or remove it and log in again: sallyport login REGISTRY"}
}

// get returns the login for a server. A credential helper is given up when ctx ends, or after
// helperTimeout.
func (f *loginFile) get(ctx context.Context, server string) (auth.Credential, error) {
	program := f.helpers.of(server)
	if program == "" {
		cred, err := f.store.Get(ctx, server)
		if err != nil {
			return auth.EmptyCredential, damagedLogins(f.path, "its entry for "+server+" can't be read")
		}
		return cred, nil
	}
	program = "docker-credential-" + program
	problem := func(format string, args ...any) error {
		return &hint.Error{
			Err:  fmt.Errorf("%s names the credential helper %s for %s: "+format, append([]any{f.path, program, server}, args...)...),
			Hint: fmt.Sprintf("see what it prints, as root: echo %s | %s get; or log in without it: sallyport login %s", server, program, server),
		}
	}
	if _, err := exec.LookPath(program); err != nil {
		return auth.EmptyCredential, problem("the daemon finds no such program on its PATH")
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	type answer struct {
		cred auth.Credential
		err  error
	}
	answers := make(chan answer, 1)
	go func() { // a child of the helper may hold its output open
		cred, err := f.store.Get(ctx, server)
		answers <- answer{cred, err}
	}()
	select {
	case a := <-answers:
		switch {
		case a.err != nil && ctx.Err() != nil:
			return auth.EmptyCredential, problem("it gave no answer: %w", context.Cause(ctx))
		case a.err != nil && strings.Contains(a.err.Error(), "credentials not found"):
			return auth.EmptyCredential, nil
		case a.err != nil && (strings.Contains(a.err.Error(), "{") || strings.Contains(a.err.Error(), "Secret")): // its answer, beside a failure
			return auth.EmptyCredential, problem("it has failed")
		case a.err != nil:
			return auth.EmptyCredential, problem("%s", hint.Excerpt(a.err.Error(), hint.Short))
		}
		return a.cred, nil
	case <-ctx.Done():
		return auth.EmptyCredential, problem("it gave no answer: %w", context.Cause(ctx))
	}
}

// storing is held while a file of logins is changed.
var storing sync.Mutex

// storeLogin puts a login into our own file of logins, or takes it out if the login is the zero
// value. The file is replaced whole, and only its owner can read it.
func storeLogin(ctx context.Context, path, host string, l login) (existed bool, err error) {
	storing.Lock()
	defer storing.Unlock()
	server := serverOf(host)
	before, err := openLogins(ctx, path)
	if err != nil {
		return false, err
	}
	if before != nil {
		if program := before.helpers.of(server); program != "" {
			return false, fmt.Errorf("%s leaves %s to the credential helper docker-credential-%s", path, server, program)
		}
		cred, err := before.get(ctx, server)
		if err != nil {
			return false, err
		}
		existed = cred != auth.EmptyCredential
	}
	if l == (login{}) && !existed {
		return false, nil
	}
	content := map[string]json.RawMessage{}
	if before != nil {
		old, err := hostfile.Read(ctx, filepath.Dir(path), path, maxLogins)
		if err == nil && len(bytes.TrimSpace(old)) > 0 {
			err = json.Unmarshal(old, &content)
		}
		if err != nil {
			return existed, damagedLogins(path, "it can't be read")
		}
	}
	auths := map[string]json.RawMessage{}
	if raw, ok := content["auths"]; ok {
		if err := json.Unmarshal(raw, &auths); err != nil {
			return existed, damagedLogins(path, "its auths can't be read")
		}
	}
	if content == nil || auths == nil { // JSON's null
		return existed, damagedLogins(path, "it has null in the place of an object")
	}
	if l == (login{}) {
		delete(auths, server)
	} else if auths[server], err = json.Marshal(map[string][]byte{"auth": []byte(l.user + ":" + l.password)}); err != nil { // []byte becomes base64
		return existed, err
	}
	if content["auths"], err = json.Marshal(auths); err != nil {
		return existed, err
	}
	data, err := json.MarshalIndent(content, "", "\t")
	if err != nil {
		return existed, err
	}
	if err := disk.WriteFile(path, append(data, '\n')); err != nil {
		return existed, fmt.Errorf("store the login: %w", err)
	}
	return existed, nil
}
