package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/shim/host"
)

// Registries keep the logins to registries of images.
type Registries interface {
	// Login stores a login once its registry has accepted it.
	Login(ctx context.Context, req host.RegistryLogin) (host.LoggedIn, error)
	// Logout removes one.
	Logout(ctx context.Context, registry string) (host.LoggedOut, error)
}

// loginPatience is longer than the daemon lets a registry take to check a login.
const loginPatience = 75 * time.Second

// Login asks the daemon to check a login to a registry and to store it. The password is in the
// request alone.
func (c *Client) Login(ctx context.Context, req host.RegistryLogin) (done host.LoggedIn, err error) {
	err = c.WithPatience(max(c.patience, loginPatience)).ask(ctx, http.MethodPost, "/v1/registries/login", req, &done)
	return done, err
}

// Logout asks the daemon to remove a login.
func (c *Client) Logout(ctx context.Context, registry string) (done host.LoggedOut, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/registries/logout?"+url.Values{"registry": {registry}}.Encode(), nil, &done)
	return done, err
}

var errNoRegistries = errors.New("this daemon asks no registries")

func (s *Server) login(r *http.Request) (any, error) {
	if s.Registries == nil {
		return nil, errNoRegistries
	}
	var req host.RegistryLogin
	if err := readJSON(r, &req); err != nil {
		return nil, err
	}
	return s.Registries.Login(r.Context(), req)
}

func (s *Server) logout(r *http.Request) (any, error) {
	if s.Registries == nil {
		return nil, errNoRegistries
	}
	return s.Registries.Logout(r.Context(), r.FormValue("registry"))
}
