package registry

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// renewBefore is how long before its end a certificate is worth a note.
const renewBefore = 14 * 24 * time.Hour

// A Finding is one thing that [Look] has found in a file of this host.
type Finding struct {
	Err  error // with a hint
	Note bool  // registries can be asked all the same
}

// Look reads what a daemon would read before it asks a registry, and asks none. found has what is
// there, in a few words. env is the daemon's environment.
func Look(ctx context.Context, logins string, s Settings, env host.RegistryEnvironment, now time.Time) (found string, all []Finding) {
	l := &look{ctx: ctx, env: env, now: now}
	texts := []string{l.logins((&Registries{logins: logins}).files(s)), l.folders(s.Hosts), l.proxies()}
	return strings.Join(texts, "; "), l.all
}

type look struct {
	ctx context.Context
	env host.RegistryEnvironment
	now time.Time
	all []Finding
}

func (l *look) add(note bool, advice, format string, args ...any) {
	l.all = append(l.all, Finding{&hint.Error{Err: fmt.Errorf(format, args...), Hint: advice}, note})
}

// logins looks at the files of logins.
func (l *look) logins(files []string) string {
	var texts []string
	for _, path := range files {
		f, err := openLogins(l.ctx, path)
		if err != nil {
			l.all = append(l.all, Finding{Err: err})
			texts = append(texts, path+" can't be used")
			continue
		}
		if f == nil {
			continue
		}
		texts = append(texts, fmt.Sprintf("%s (mode %04o) has %s", path, f.mode, numberOf(l.entries(f), "login")))
		l.helpers(f)
	}
	if len(texts) == 0 {
		return "no file has logins: " + strings.Join(files, ", ")
	}
	return strings.Join(texts, ", ")
}

// entries looks at the entries of a file of logins. n is how many have a password or a token.
func (l *look) entries(f *loginFile) (n int) {
	first := map[entry]string{} // as keysOf has it, which costs too much for each of many
	for key := range f.auths {
		if e := entryOf(key); first[e] == "" || key == e.key() || first[e] != e.key() && key < first[e] {
			first[e] = key
		}
	}
	for _, key := range slices.Sorted(maps.Values(first)) {
		if err := l.ctx.Err(); err != nil {
			l.add(false, "run doctor again", "%s was not read to its end: %w", f.path, err)
			break
		}
		cred, err := f.storedAs(l.ctx, key)
		if err != nil {
			l.all = append(l.all, Finding{Err: err})
		}
		if cred.Password+cred.RefreshToken+cred.AccessToken != "" {
			n++
		}
	}
	if n > 0 {
		l.private(f.path, "passwords")
	}
	return n
}

// private reports a file that others than root can read.
func (l *look) private(path, what string) {
	info, err := hostfile.Stat(l.ctx, path)
	if err != nil {
		return // it has been read before
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	mode := info.Mode().Perm()
	if ok && (mode&0o004 != 0 || mode&0o040 != 0 && owner.Gid != 0) {
		l.add(false, "chmod 600 "+path, "%s (mode %04o): others than root can read the %s in it", path, mode, what)
	}
}

// helpers looks for the credential helpers that a file of logins names.
func (l *look) helpers(f *loginFile) {
	var names []string
	if f.helpers.All != "" {
		names = append(names, f.helpers.All)
	}
	for _, server := range sortedKeys(f.helpers.One) {
		names = append(names, f.helpers.One[server])
		if e := entryOf(server); e.path != "" {
			l.add(true, "name the registry alone: "+e.host, "%s has a credential helper for %s, which is never asked: helpers are for whole registries", f.path, e)
		}
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if program := "docker-credential-" + name; !l.onPath(program) {
			l.add(false, "install it where the daemon finds it, or take it out of the file",
				"%s names the credential helper %s, and the daemon's PATH has no such program (%s)", f.path, program, l.env.Path)
		}
	}
}

// onPath reports whether the daemon finds that program.
func (l *look) onPath(program string) bool {
	return slices.ContainsFunc(filepath.SplitList(l.env.Path), func(folder string) bool {
		info, err := hostfile.Stat(l.ctx, filepath.Join(folder, program))
		return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
	})
}

// folders looks at the folders of registries.
func (l *look) folders(root string) string {
	if root == "" {
		return "no folder describes registries"
	}
	all, err := hostfile.ReadDir(l.ctx, root)
	if errors.Is(err, fs.ErrNotExist) {
		return "there is no " + root
	}
	if err != nil {
		l.all = append(l.all, Finding{Err: err})
		return root + " can't be read"
	}
	n := 0
	for _, f := range all {
		path := filepath.Join(root, f.Name())
		info, err := hostfile.Stat(l.ctx, path) // behind a link
		switch {
		case err != nil:
			l.all = append(l.all, Finding{Err: err})
		case !info.IsDir():
			l.add(true, "move it into the folder of its registry: "+filepath.Join(root, "REGISTRY"), "%s is in no registry's folder, so nothing reads it", path)
		default:
			n++
			l.folder(path)
		}
	}
	return fmt.Sprintf("%s describes %s", root, numberOf(n, "registry"))
}

// folder looks at the folder of one registry.
func (l *look) folder(path string) {
	if _, err := checkFolder(l.ctx, path); err != nil {
		if hint.Of(err) == "" {
			err = &hint.Error{Err: err, Hint: "mend the file; docs/registries.md describes it"}
		}
		l.all = append(l.all, Finding{Err: err})
		return
	}
	authorities, clients := l.certificates(path)
	for _, file := range authorities {
		if begin, end := l.validity(file, true); l.now.After(end) {
			l.add(true, "put the registry's new authority there", "%s: its authorities ended at %s", file, day(end))
		} else if l.now.Before(begin) {
			l.add(true, "see whether this host's clock is right", "%s: its authorities begin at %s, and this host's clock has %s", file, day(begin), day(l.now))
		}
	}
	for _, pair := range clients {
		begin, end := l.validity(pair[0], false)
		switch advice := "get a new certificate for this host from those who run the registry"; {
		case l.now.After(end):
			l.add(false, advice, "%s: this host's certificate ended at %s", pair[0], day(end))
		case l.now.Before(begin):
			l.add(false, "see whether this host's clock is right", "%s: this host's certificate begins at %s, and the clock has %s", pair[0], day(begin), day(l.now))
		case end.Sub(l.now) < renewBefore:
			l.add(true, advice, "%s: this host's certificate ends at %s", pair[0], day(end))
		}
		l.private(pair[1], "key")
	}
}

// certificates returns the files of authorities, and the pairs of certificate and key, of a folder
// without mistakes.
func (l *look) certificates(folder string) (authorities []string, clients [][2]string) {
	content, err := readRoots(l.ctx, folder, filepath.Join(folder, hostsFile))
	if err != nil || len(content) == 0 {
		entries, _ := hostfile.ReadDir(l.ctx, folder)
		for _, e := range entries {
			path := filepath.Join(folder, e.Name())
			switch ext := filepath.Ext(path); {
			case e.IsDir():
			case ext == ".crt":
				authorities = append(authorities, path)
			case ext == ".cert":
				clients = append(clients, [2]string{path, keyBeside(path, entries)})
			}
		}
		return authorities, clients
	}
	var file hostsTOML
	_ = toml.NewDecoder(bytes.NewReader(content)).Decode(&file) // [checkFolder] has reported a mistake
	servers := []serverTOML{file.serverTOML}
	for _, name := range sortedKeys(file.Hosts) {
		servers = append(servers, file.Hosts[name])
	}
	for _, s := range servers {
		names, _ := texts(s.CA)
		for _, name := range names {
			authorities = append(authorities, below(folder, name))
		}
		pairs, _ := clientPairs(s.Client)
		for _, p := range pairs {
			clients = append(clients, [2]string{below(folder, p[0]), below(folder, p[1])})
		}
	}
	return authorities, clients
}

// validity returns when the certificates of a file begin and end to be valid: of a chain the first
// one's, which is the host's, and of several authorities the one that lasts the longest.
func (l *look) validity(path string, authorities bool) (begin, end time.Time) {
	rest, _ := readRoots(l.ctx, filepath.Dir(path), path) // [checkFolder] has read it
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if block.Type != "CERTIFICATE" || err != nil || !cert.NotAfter.After(end) {
			continue
		}
		if begin, end = cert.NotBefore, cert.NotAfter; !authorities {
			break
		}
	}
	if end.IsZero() { // it has changed since it was checked
		return time.Time{}, l.now.Add(renewBefore)
	}
	return begin, end
}

func day(t time.Time) string { return t.UTC().Format(time.DateTime) + " UTC" }

// proxies looks at the proxies that the daemon's environment names.
func (l *look) proxies() string {
	var texts []string
	for _, p := range l.env.Proxies {
		if p.Host == "" {
			l.add(false, "write "+p.Variable+"=http://PROXY:PORT in /etc/default/sallyport, and restart the daemon; the groups run on",
				"%s of the daemon's environment is no address of a proxy, so registries can't be asked", p.Variable)
			continue
		}
		texts = append(texts, fmt.Sprintf("%s (%s)", p.Host, p.Variable))
	}
	if len(texts) == 0 {
		return "no proxy"
	}
	text := "the daemon asks through the proxy " + strings.Join(texts, ", ")
	if l.env.NoProxy != "" {
		text += ", but for NO_PROXY=" + l.env.NoProxy
	}
	return text
}

func numberOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if stem, ok := strings.CutSuffix(what, "y"); ok {
		what = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, what)
}
