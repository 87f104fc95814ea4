package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/shim/host"
)

// loginTimeout bounds the check of a login.
const loginTimeout = time.Minute

// registryName matches the name or the address of a registry, and its port.
var registryName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?$`)

// partName matches a part of a registry behind its name: the names of repositories (path-component
// in the grammar of github.com/distribution/reference).
var partName = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)

// maxPart limits a part of a registry, in bytes. A repository's name has 255 at most.
const maxPart = 255

// CheckName returns an error if a text is not a registry's name, with an optional port and an
// optional part of it: registry.example:5000/team.
func CheckName(name string) error {
	host, path, inside := strings.Cut(name, "/")
	if registryName.MatchString(host) && (!inside || len(path) <= maxPart && partName.MatchString(path)) {
		return nil
	}
	advice := "write its name as images have it: registry.example, or registry.example:5000/team for a part of it"
	bare := strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	host, path, _ = strings.Cut(bare, "/")
	if path += "/"; bare != name { // of the API
		path = strings.TrimPrefix(strings.TrimPrefix(path, "v1/"), "v2/")
	}
	path, _, _ = strings.Cut(path, "@")
	path, _, _ = strings.Cut(path, ":")
	if path = strings.Trim(path, "/"); path != "" {
		host += "/" + path
	}
	if len(host) < len(name) && CheckName(host) == nil {
		advice = "a login is for a registry or a part of it, without a scheme, a tag or a digest: " + host
	}
	return &hint.Error{Err: fmt.Errorf("%q is no name of a registry", hint.Excerpt(name, hint.Short)), Hint: advice}
}

// Login stores a login once its registry has accepted it. Over plain HTTP it needs the request's
// word, except to a registry on this host.
func (r *Registries) Login(ctx context.Context, req host.RegistryLogin) (host.LoggedIn, error) {
	done := host.LoggedIn{Registry: req.Registry, User: req.User, File: r.logins}
	switch {
	case r.logins == "":
		return done, errors.New("this daemon has no file for logins")
	case req.User == "" || req.Password == "":
		return done, &hint.Error{Err: errors.New("a login needs a user and a password"), Hint: "sallyport login --username NAME " + req.Registry}
	case strings.Contains(req.User, ":"):
		return done, &hint.Error{Err: errors.New("a user's name can't hold a colon"), Hint: "the registry knows the user by another name; see its documentation"}
	}
	if err := CheckName(req.Registry); err != nil {
		return done, err
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	s := r.Open(ctx, nil)
	defer s.Close()
	registry, _, _ := strings.Cut(req.Registry, "/")
	given := login{user: req.User, password: string(req.Password), file: "this command"}
	itself, err := s.itself(ctx, registry)
	if err == nil {
		s.find = func(_ context.Context, host string) (login, error) {
			if host == itself.Host {
				return given, nil
			}
			return login{}, nil // it was redirected
		}
		done.Unchecked, err = check(ctx, itself, given, req.PlainHTTP)
	}
	if err != nil {
		return done, s.Problem(registry, err)
	}
	_, err = storeLogin(ctx, r.logins, req.Registry, given)
	return done, err
}

// Logout removes a login from the file of logins. What has another login for the registry, or for a
// larger part of it, is left alone.
func (r *Registries) Logout(ctx context.Context, name string) (done host.LoggedOut, err error) {
	done.Registry = name
	if err := CheckName(name); err != nil {
		return done, err
	}
	if r.logins == "" {
		return done, errors.New("this daemon has no file for logins")
	}
	if done.Removed, err = storeLogin(ctx, r.logins, name, login{}); err != nil {
		return done, err
	}
	if found, err := findLogin(ctx, r.files(r.settings()), name); err == nil {
		done.Elsewhere, done.Part = found.file, found.part
	}
	return done, nil
}

// errNoRegistry is the error of a server that doesn't answer as a registry does.
var errNoRegistry = errors.New("it does not answer as a registry does (GET /v2/)")

// errPlainLogin is the error of a login to a registry that doesn't speak TLS.
var errPlainLogin = errors.New("it is asked over plain HTTP, where everyone on the way can read a password")

// check presents a login to a registry. unchecked means that the registry is open to all, so that
// it is not known whether the login is right.
func check(ctx context.Context, h docker.RegistryHost, l login, plain bool) (unchecked bool, err error) {
	if local, err := docker.MatchLocalhost(h.Host); h.Scheme != "https" && !plain && (err != nil || !local) {
		return false, errPlainLogin
	}
	ask := func(change func(*http.Request) error) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.Scheme+"://"+h.Host+h.Path+"/", nil)
		if err != nil {
			return nil, err
		}
		for name, values := range h.Header {
			req.Header[name] = slices.Clone(values)
		}
		if err := change(req); err != nil {
			return nil, err
		}
		resp, err := h.Client.Do(req)
		if err != nil {
			return nil, err
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
		return resp, resp.Body.Close()
	}
	resp, err := ask(func(*http.Request) error { return nil })
	if err != nil {
		return false, err
	}
	switch resp.StatusCode {
	case http.StatusOK:
		unchecked = true
		resp, err = ask(func(r *http.Request) error { r.SetBasicAuth(l.user, l.password); return nil })
	case http.StatusUnauthorized:
		if err := h.Authorizer.AddResponses(ctx, []*http.Response{resp}); err != nil {
			return false, err
		}
		resp, err = ask(func(r *http.Request) error { return h.Authorizer.Authorize(ctx, r) })
	}
	switch {
	case err != nil:
		return false, err
	case resp.StatusCode == http.StatusOK:
		return unchecked, nil
	case resp.StatusCode == http.StatusNotFound:
		return false, errNoRegistry
	}
	return false, remoteerrors.ErrUnexpectedStatus{
		Status: resp.Status, StatusCode: resp.StatusCode, RequestMethod: http.MethodGet, RequestURL: withoutQuery(resp.Request.URL),
	}
}
