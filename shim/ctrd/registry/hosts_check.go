package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// maxHostsFile limits the size of each file in a registry's folder, in bytes.
const maxHostsFile = 1 << 20

// A hostsTOML is a file hosts.toml, with the names that containerd knows.
type hostsTOML struct {
	serverTOML
	Server string                `toml:"server"`
	Hosts  map[string]serverTOML `toml:"host"`
}

type serverTOML struct {
	Capabilities []string       `toml:"capabilities"`
	CA           any            `toml:"ca"`
	Client       any            `toml:"client"`
	SkipVerify   *bool          `toml:"skip_verify"`
	Header       map[string]any `toml:"header"`
	OverridePath bool           `toml:"override_path"`
	DialTimeout  string         `toml:"dial_timeout"`
}

// checkFolder returns the first mistake in the folder of a registry, with the name of the file.
// containerd would pass over some of them in silence. server is the server that hosts.toml names,
// or "".
func checkFolder(ctx context.Context, folder string) (server string, err error) {
	path := filepath.Join(folder, hostsFile)
	mistake := func(format string, args ...any) error {
		return &hint.Error{Err: fmt.Errorf("%s: "+format, append([]any{path}, args...)...), Hint: "mend the file; docs/registries.md describes it"}
	}
	content, err := readRoots(ctx, folder, path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(content) == 0 {
		return "", checkCertificates(ctx, folder)
	}
	var file hostsTOML
	if err := toml.NewDecoder(bytes.NewReader(content)).DisallowUnknownFields().Decode(&file); err != nil {
		return "", tomlMistake(mistake, err)
	}
	if err := checkServer(ctx, folder, file.Server, file.serverTOML); err != nil {
		return "", mistake("%w", err)
	}
	for _, name := range sortedKeys(file.Hosts) {
		if name == "" {
			return "", mistake("a host without a name: write [host.\"https://mirror.example\"]")
		}
		if err := checkServer(ctx, folder, name, file.Hosts[name]); err != nil {
			return "", mistake("host %q: %w", name, err)
		}
	}
	return file.Server, nil
}

// tomlMistake returns the error of a file that is no TOML, or that has unknown names, with the
// line.
func tomlMistake(mistake func(string, ...any) error, err error) error {
	var unknown *toml.StrictMissingError
	if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
		line, _ := unknown.Errors[0].Position()
		return mistake("line %d: unknown name %q; known are server, host, capabilities, ca, client, skip_verify, header, override_path and dial_timeout",
			line, strings.Join(unknown.Errors[0].Key(), "."))
	}
	var wrong *toml.DecodeError
	if errors.As(err, &wrong) {
		line, _ := wrong.Position()
		return mistake("line %d: %s", line, hint.Excerpt(strings.TrimPrefix(wrong.Error(), "toml: "), hint.Short))
	}
	return mistake("%w", err)
}

func sortedKeys[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// checkServer checks what a file has about one server.
func checkServer(ctx context.Context, folder, server string, s serverTOML) error {
	if server != "" {
		full := server
		if !strings.HasPrefix(full, "http") {
			full = "https://" + full
		}
		if u, err := url.Parse(full); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
			return fmt.Errorf("%q is no server: write https://HOST, or http://HOST", hint.Excerpt(server, hint.Short))
		}
	}
	for _, c := range s.Capabilities {
		if !slices.Contains([]string{"pull", "resolve", "push", "referrers"}, strings.ToLower(c)) {
			return fmt.Errorf("unknown capability %q: write pull and resolve", c)
		}
	}
	if s.DialTimeout != "" {
		if _, err := time.ParseDuration(s.DialTimeout); err != nil {
			return fmt.Errorf("dial_timeout: %q is no time, such as \"5s\"", s.DialTimeout)
		}
	}
	for _, name := range sortedKeys(s.Header) {
		if _, err := texts(s.Header[name]); err != nil {
			return fmt.Errorf("header %q: %w", name, err)
		}
	}
	authorities, err := texts(s.CA)
	if err != nil {
		return fmt.Errorf("ca: %w", err)
	}
	for _, name := range authorities {
		if err := checkAuthority(ctx, below(folder, name)); err != nil {
			return err
		}
	}
	pairs, err := clientPairs(s.Client)
	if err != nil {
		return err
	}
	for _, pair := range pairs {
		if err := checkPair(ctx, below(folder, pair[0]), below(folder, pair[1])); err != nil {
			return err
		}
	}
	return nil
}

// errNoText has nothing of the value: a header may hold a password.
var errNoText = errors.New("it is neither text in quotes nor a list of that")

// texts returns the texts of a value that may be one text or several. nil has none.
func texts(v any) (all []string, err error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []string{v}, nil
	case []any:
		for _, one := range v {
			text, ok := one.(string)
			if !ok {
				return nil, errNoText
			}
			all = append(all, text)
		}
		return all, nil
	}
	return nil, errNoText
}

// clientPairs returns the files of a certificate and its key. They may be the same file.
func clientPairs(v any) (pairs [][2]string, err error) {
	if list, ok := v.([]any); ok {
		for _, one := range list {
			names, err := texts(one)
			switch {
			case err != nil:
				return nil, fmt.Errorf("client: %w", err)
			case len(names) == 1:
				names = append(names, names[0])
			case len(names) != 2:
				return nil, fmt.Errorf("client: %v is no pair: write [\"client.cert\", \"client.key\"]", one)
			}
			pairs = append(pairs, [2]string{names[0], names[1]})
		}
		return pairs, nil
	}
	names, err := texts(v)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	for _, name := range names {
		pairs = append(pairs, [2]string{name, name})
	}
	return pairs, nil
}

// checkCertificates checks the files of a folder without a hosts.toml: NAME.crt is an authority,
// and NAME.cert with NAME.key a certificate of this host.
func checkCertificates(ctx context.Context, folder string) error {
	entries, err := hostfile.ReadDir(ctx, folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		switch ext := filepath.Ext(path); {
		case e.IsDir():
		case ext == ".crt":
			err = checkAuthority(ctx, path)
		case ext == ".cert":
			err = checkPair(ctx, path, keyBeside(path, entries))
		}
		if err != nil {
			return &hint.Error{Err: err, Hint: "mend the file or take it out of the folder"}
		}
	}
	return nil
}

// keyBeside returns the file with the key of a certificate, which may be the certificate's own.
func keyBeside(certificate string, entries []fs.DirEntry) string {
	key := strings.TrimSuffix(certificate, filepath.Ext(certificate)) + ".key"
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == filepath.Base(key) }) {
		return key
	}
	return certificate
}

func checkAuthority(ctx context.Context, path string) error {
	content, err := readRoots(ctx, filepath.Dir(path), path)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(content) {
		err = fmt.Errorf("%s has no certificate in the form of PEM", path)
	}
	return err
}

// checkPair has nothing of the key in its errors.
func checkPair(ctx context.Context, certificate, key string) error {
	cert, err := readRoots(ctx, filepath.Dir(certificate), certificate)
	if err != nil {
		return err
	}
	private, err := readRoots(ctx, filepath.Dir(key), key)
	if err != nil {
		return err
	}
	if _, err := tls.X509KeyPair(cert, private); err != nil {
		return fmt.Errorf("%s and %s are no certificate and its key: %w", certificate, key, err)
	}
	return nil
}

// readRoots reads a file that decides which servers are believed. It refuses one that others than
// root could have written.
func readRoots(ctx context.Context, folder, path string) ([]byte, error) {
	info, err := hostfile.Stat(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := onlyRoots(path, info, "it decides which servers are believed"); err != nil {
		return nil, err
	}
	return hostfile.Read(ctx, folder, path, maxHostsFile)
}

// below returns the path of a name in a file of the folder.
func below(folder, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(folder, name)
}
