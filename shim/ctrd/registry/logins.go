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
	"slices"
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
	part                  string // of a registry, if it is for no whole one: registry.example/team
}

// String keeps the secrets out of what is printed.
func (l login) String() string {
	text := fmt.Sprintf("user %q of %s", l.user, l.file)
	if l.part != "" {
		text += ", which is for " + l.part
	}
	return text
}

// serverOf returns the name under which the login of a host is stored. Docker's own registry has a
// name of its own there.
func serverOf(host string) string {
	if hubOr(host) == hub {
		host = "registry-1.docker.io"
	}
	return credentials.ServerAddressFromHostname(host)
}

// hub is Docker's own registry, as images have it.
const hub = "docker.io"

// hubOr returns [hub] for each name of Docker's own registry, and any other host as it is.
func hubOr(host string) string {
	switch host {
	case "index.docker.io", "registry-1.docker.io":
		return hub
	}
	return host
}

// findLogin returns the login for a registry, or for a part of one such as the repository of an
// image, from the first of the files that has one. A file that is absent has none.
func findLogin(ctx context.Context, files []string, name string) (login, error) {
	for _, path := range files {
		store, err := openLogins(ctx, path)
		if err != nil {
			return login{}, err
		}
		if store == nil {
			continue
		}
		if found, err := store.find(ctx, name); err != nil || found != (login{}) {
			return found, err
		}
	}
	return login{}, nil
}

// A loginFile is a file with logins in the form of Docker's config.json. As in podman's auth.json,
// an entry may be for a part of a registry.
type loginFile struct {
	path    string
	mode    fs.FileMode
	auths   map[string]json.RawMessage
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
	f := &loginFile{path: path, mode: info.Mode().Perm()}
	if len(bytes.TrimSpace(content)) == 0 {
		return f, nil
	}
	if err := json.Unmarshal(content, &f.helpers); err != nil {
		return nil, damagedLogins(path, "it is no JSON of the form of Docker's config.json")
	}
	var file struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		return nil, damagedLogins(path, "it is not of the form of Docker's config.json")
	}
	f.auths = file.Auths
	return f, nil
}

// An entry of a file of logins is for a registry, or for a part of it.
type entry struct {
	host string // docker.io for each name of Docker's own registry
	path string // such as "team/app"; empty for the whole registry
}

func (e entry) String() string {
	if e.path == "" {
		return e.host
	}
	return e.host + "/" + e.path
}

// entryOf returns the entry of a key. Docker's older files have URLs, whose path is that of a
// version of the API.
func entryOf(key string) entry {
	bare := strings.TrimPrefix(strings.TrimPrefix(key, "http://"), "https://")
	host, path, _ := strings.Cut(bare, "/")
	if bare != key || path == "v1/" || path == "v2/" {
		path = ""
	}
	return entry{hubOr(host), strings.Trim(path, "/")}
}

// keysOf returns the keys of an entry in the file. The first of them counts: the one that a login
// writes.
func (f *loginFile) keysOf(e entry) (keys []string) {
	for _, key := range sortedKeys(f.auths) {
		if entryOf(key) == e {
			keys = append(keys, key)
		}
	}
	if i := slices.Index(keys, e.key()); i > 0 {
		keys[0], keys[i] = keys[i], keys[0]
	}
	return keys
}

// key returns the key that a login writes.
func (e entry) key() string {
	if e.path == "" {
		return serverOf(e.host)
	}
	return e.String()
}

// parts returns the parts of a registry that have entries of their own.
func (f *loginFile) parts(registry string) (all []string) {
	for _, key := range sortedKeys(f.auths) {
		if e := entryOf(key); e.host == hubOr(registry) && e.path != "" {
			all = append(all, e.String())
		}
	}
	return all
}

// find returns the login for a registry or a part of it: that of the entry with the longest path
// that the name begins with, and else that of the whole registry. The zero value is none.
func (f *loginFile) find(ctx context.Context, name string) (login, error) {
	for e := entryOf(name); ; e.path = parent(e.path) {
		cred, err := f.get(ctx, e)
		if err != nil {
			return login{}, err
		}
		if cred.AccessToken != "" && cred.RefreshToken == "" && cred.Password == "" {
			return login{}, &hint.Error{
				Err:  fmt.Errorf("%s has a registry token for %s, which can't be used", f.path, e),
				Hint: "log in with a user and a password: sallyport login " + e.String(),
			}
		}
		if cred != auth.EmptyCredential {
			l := login{user: cred.Username, password: cred.Password, token: cred.RefreshToken, file: f.path}
			if e.path != "" {
				l.part = e.String()
			}
			return l, nil
		}
		if e.path == "" {
			return login{}, nil
		}
	}
}

// parent returns a path without its last name.
func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '/'))] }

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

// get returns the login of exactly that entry. A credential helper is asked for whole registries.
// It is given up when ctx ends, or after helperTimeout.
func (f *loginFile) get(ctx context.Context, e entry) (auth.Credential, error) {
	server := serverOf(e.host)
	program := f.helpers.of(server)
	if e.path != "" || program == "" {
		return f.stored(ctx, e)
	}
	helper := credentials.NewNativeStore(program)
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
		cred, err := helper.Get(ctx, server)
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

// stored returns the login that an entry of the file has.
func (f *loginFile) stored(ctx context.Context, e entry) (auth.Credential, error) {
	keys := f.keysOf(e)
	if len(keys) == 0 {
		return auth.EmptyCredential, nil
	}
	return f.storedAs(ctx, keys[0])
}

// storedAs returns the login at a key of the file.
func (f *loginFile) storedAs(ctx context.Context, key string) (auth.Credential, error) {
	alone, err := json.Marshal(map[string]any{"auths": map[string]json.RawMessage{"it": f.auths[key]}})
	if err != nil {
		return auth.EmptyCredential, err
	}
	store, err := credentials.NewMemoryStoreFromDockerConfig(alone)
	if err != nil { // it may have the password
		return auth.EmptyCredential, damagedLogins(f.path, "its entry for "+entryOf(key).String()+" can't be read")
	}
	return store.Get(ctx, "it")
}

// storing is held while a file of logins is changed.
var storing sync.Mutex

// storeLogin puts a login for a registry or a part of it into our own file of logins, or takes it
// out if the login is the zero value. The file is replaced whole, and only its owner can read it.
func storeLogin(ctx context.Context, path, name string, l login) (existed bool, err error) {
	storing.Lock()
	defer storing.Unlock()
	e := entryOf(name)
	before, err := openLogins(ctx, path)
	if err != nil {
		return false, err
	}
	var old []string
	if before != nil {
		if program := before.helpers.of(serverOf(e.host)); program != "" && e.path == "" {
			return false, fmt.Errorf("%s leaves %s to the credential helper docker-credential-%s", path, serverOf(e.host), program)
		}
		cred, err := before.get(ctx, e)
		if err != nil {
			return false, err
		}
		existed, old = cred != auth.EmptyCredential, before.keysOf(e)
	}
	if l == (login{}) && !existed {
		return false, nil
	}
	content := map[string]json.RawMessage{}
	if before != nil {
		text, err := hostfile.Read(ctx, filepath.Dir(path), path, maxLogins)
		if err == nil && len(bytes.TrimSpace(text)) > 0 {
			err = json.Unmarshal(text, &content)
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
	for _, key := range old {
		delete(auths, key)
	}
	if l != (login{}) {
		if auths[e.key()], err = json.Marshal(map[string][]byte{"auth": []byte(l.user + ":" + l.password)}); err != nil { // []byte becomes base64
			return existed, err
		}
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
