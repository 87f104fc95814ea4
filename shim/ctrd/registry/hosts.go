package registry

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/config"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/hostfile"
)

// hostsFile is the name of the file that describes a registry in its folder.
const hostsFile = "hosts.toml"

// hosts returns where a registry is asked, in that order: its mirrors and itself, as its folder
// describes them. Without a folder it speaks TLS to every registry. To one on loopback that doesn't
// speak TLS it speaks plain HTTP, unless its folder names another server.
func (s *Session) hosts(name string) ([]docker.RegistryHost, error) {
	local, err := docker.MatchLocalhost(name)
	if err != nil {
		return nil, err
	}
	folder, err := s.folder(name)
	if err != nil {
		return nil, err
	}
	if folder == "" {
		return s.plainHosts(name, local)
	}
	return s.describedHosts(folder, name, local)
}

// folder returns the folder that describes a registry, or "".
func (s *Session) folder(name string) (string, error) {
	if s.settings.Hosts == "" {
		return "", nil
	}
	folder, err := config.HostDirFromRoot(s.settings.Hosts)(name)
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	return folder, err
}

// plainHosts returns where a registry without a folder is asked.
func (s *Session) plainHosts(name string, local bool) ([]docker.RegistryHost, error) {
	client := &http.Client{Transport: s.transport(docker.DefaultHTTPTransport(nil))}
	if local {
		client.Transport = docker.NewHTTPFallback(client.Transport)
	}
	return docker.ConfigureDefaultRegistries(
		docker.WithClient(client),
		docker.WithAuthorizer(docker.NewDockerAuthorizer(docker.WithAuthClient(client), docker.WithAuthCreds(s.credentials))),
	)(name)
}

// describedHosts returns where a registry is asked by its folder. containerd passes over a file
// that it can't use, so the folder is checked before.
func (s *Session) describedHosts(folder, name string, local bool) ([]docker.RegistryHost, error) {
	server, err := checkFolder(s.ctx, folder)
	if err != nil {
		return nil, err
	}
	hosts, err := config.ConfigureHosts(s.ctx, config.HostOptions{
		HostDir:     func(string) (string, error) { return folder, nil },
		Credentials: s.credentials,
		// Without a scheme containerd would check no certificate of a registry on loopback.
		DefaultScheme: "https",
		UpdateClient: func(c *http.Client) error {
			if t, ok := c.Transport.(*http.Transport); ok { // the others have been here already
				c.Transport = s.transport(t)
			}
			return nil
		},
	})(name)
	if err != nil {
		return nil, &hint.Error{Err: fmt.Errorf("%s: %w", folder, err), Hint: "mend the files in it"}
	}
	if last := len(hosts) - 1; local && server == "" && last >= 0 {
		client := *hosts[last].Client
		client.Transport = docker.NewHTTPFallback(client.Transport)
		hosts[last].Client = &client
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.places[name] = nil
	for i, h := range hosts {
		s.places[name] = append(s.places[name], h.Host)
		if i == len(hosts)-1 && h.Host != name && filepath.Base(folder) != defaultFolder {
			s.names[h.Host] = name
		}
		if h.Scheme == "http" {
			s.plain[h.Host] = true
		}
	}
	return hosts, nil
}

// itself returns where a login to a registry is checked: the registry and none of its mirrors. A
// name without a folder may be the mirror of a registry with one, whose folder has what it needs.
func (s *Session) itself(ctx context.Context, name string) (docker.RegistryHost, error) {
	hosts, err := s.hosts(name)
	if err != nil {
		return docker.RegistryHost{}, err
	}
	if len(hosts) == 0 {
		return docker.RegistryHost{}, errors.New("it is asked nowhere")
	}
	itself := hosts[len(hosts)-1]
	if s.settings.Hosts == "" {
		return itself, nil
	}
	folder, err := s.folder(name)
	if err != nil || folder != "" && filepath.Base(folder) != defaultFolder {
		return itself, err
	}
	folders, err := hostfile.ReadDir(ctx, s.settings.Hosts)
	if errors.Is(err, fs.ErrNotExist) {
		return itself, nil
	}
	if err != nil {
		return itself, err
	}
	for _, f := range folders {
		registry := registryOf(f.Name())
		mirrors, err := s.hosts(registry)
		if err != nil { // a login to another registry, or a pull of its own images, has the mistake
			continue
		}
		for _, m := range mirrors {
			if m.Host == name {
				return m, nil
			}
		}
	}
	if serverOf(itself.Host) != serverOf(name) {
		return itself, &hint.Error{
			Err:  fmt.Errorf("%s names the server %s for every registry, which is given no login of another one", folder, itself.Host),
			Hint: "log in to that server: sallyport login " + itself.Host + "; or make a folder for " + name + " beside it",
		}
	}
	return itself, nil
}

// defaultFolder describes every registry without a folder of its own.
const defaultFolder = "_default"

// registryOf returns the registry of a folder's name: "_5000_" is a port.
func registryOf(folder string) string {
	if name, ok := strings.CutSuffix(folder, "_"); ok {
		if i := strings.LastIndexByte(name, '_'); i > 0 {
			return name[:i] + ":" + name[i+1:]
		}
	}
	if folder == defaultFolder {
		return "default.invalid"
	}
	return folder
}
