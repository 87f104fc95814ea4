package registry

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/containerd/containerd/v2/core/remotes"
	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/distribution/reference"
)

// A reload of the daemon's configuration may change all Settings.
type Settings struct {
	DockerConfig string // path of Docker's config.json; empty: it is not read
	// MaxConcurrent is how many layers are fetched at once, of all pulls together. 0 is no limit.
	MaxConcurrent int
	Rate          int64  // bytes per second of all pulls together; 0 is no limit
	Window        Window // when images are pulled
	Hosts         string // folder with a folder for each registry, in containerd's layout; empty: none
}

// Registries are all registries, as this host reaches them. It is safe for concurrent use.
type Registries struct {
	logins string // path of the file of logins
	limits limits

	mu  sync.Mutex
	now Settings
}

// New returns the registries with the logins in that file, which Login makes. Without a path there
// are none, and Login fails.
func New(logins string, s Settings) *Registries { return &Registries{logins: logins, now: s} }

// Set puts other settings in force. They are for the pulls and logins that begin afterwards.
func (r *Registries) Set(s Settings) {
	r.mu.Lock()
	r.now = s
	r.mu.Unlock() // before the limits: a layer that begins reads the settings under their lock
	r.limits.mu.Lock()
	defer r.limits.mu.Unlock()
	r.limits.wake()
}

func (r *Registries) settings() Settings {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

// A Session is one pull or one login: its connections, and the logins that it has used.
type Session struct {
	ctx      context.Context
	settings Settings
	moved    func()
	of       *Registries
	received atomic.Bool
	find     func(ctx context.Context, name string) (login, error) // name: of a registry, or of a part of one
	path     string                                                // of the repository, without the registry; empty if it isn't known

	mu         sync.Mutex
	transports []*http.Transport
	used       map[string]login    // by host, what was presented to it
	names      map[string]string   // by host that a folder names as the server, the registry
	places     map[string][]string // by registry with a folder: its mirrors and, last, itself
	statuses   map[string]int      // by host, of its last answer
	plain      map[string]bool     // hosts that a file on this host wants to be asked over plain HTTP
}

// Open begins a session. moved is called with each answer, and with each piece of one. It may be
// nil. The caller calls Close at the end.
func (r *Registries) Open(ctx context.Context, moved func()) *Session {
	s := &Session{ctx: ctx, settings: r.settings(), moved: moved, of: r, used: map[string]login{}, names: map[string]string{}, places: map[string][]string{}, statuses: map[string]int{}, plain: map[string]bool{}}
	if s.moved == nil {
		s.moved = func() {}
	}
	s.find = func(ctx context.Context, name string) (login, error) {
		return findLogin(ctx, r.files(s.settings), name)
	}
	return s
}

// For makes the session one for an image, which may have a login of its own. It returns the
// session. The image is a complete reference.
func (s *Session) For(image string) *Session {
	if named, err := reference.ParseNormalizedNamed(image); err == nil {
		s.path = reference.Path(named)
	}
	return s
}

// repository returns the image's repository at a host, or the host if there is no image.
func (s *Session) repository(host string) string { return entry{host, s.path}.String() }

// files are the files with logins. The first that has one for a registry counts.
func (r *Registries) files(s Settings) (paths []string) {
	for _, path := range []string{r.logins, s.DockerConfig} {
		if path != "" {
			paths = append(paths, path)
		}
	}
	return paths
}

// Close closes the connections.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.transports {
		t.CloseIdleConnections()
	}
}

// Received reports whether some of a layer has come.
func (s *Session) Received() bool { return s.received.Load() }

// MaxConcurrent returns how many layers of one image are fetched at once. 0 is no limit.
func (s *Session) MaxConcurrent() int { return s.settings.MaxConcurrent }

// Resolver returns containerd's resolver for images of any registry.
func (s *Session) Resolver() remotes.ResolverWithOptions {
	return docker.NewResolver(docker.ResolverOptions{Hosts: s.hosts}).(remotes.ResolverWithOptions) // containerd holds it to that
}

func (s *Session) transport(t *http.Transport) http.RoundTripper {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.transports = append(s.transports, t)
	limited := &limitedTransport{next: t, session: s}
	return &countingTransport{next: &guard{next: limited, plain: s.mayBePlain, own: s.hasPresented}, moved: s.moved}
}

// credentials returns what containerd presents to a host: a name and a password, or an empty name
// and a token. Both are empty if there is no login. The server that a registry's folder names gets
// the login of the registry, unless it has one of its own. A mirror doesn't.
func (s *Session) credentials(host string) (name, secret string, err error) {
	found, err := s.find(s.ctx, s.repository(host))
	if err == nil && found == (login{}) {
		s.mu.Lock()
		registry, known := s.names[host]
		s.mu.Unlock()
		if known {
			found, err = s.find(s.ctx, s.repository(registry))
		}
	}
	if err != nil || found == (login{}) {
		return "", "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.used[host] = found
	return found.user, cmp.Or(found.password, found.token), nil
}

// errPlain is the error of a request that would show a password or a token to everyone on the way.
var errPlain = errors.New("a login over plain HTTP can be read on the way, so it was not sent")

// errSentOn is the error of a token service that redirects a password to another host.
var errSentOn = errors.New("a login is for one host, so it was not sent on")

// A guard sends no login over plain HTTP, but to this host itself, and to hosts that a file of the
// operator wants to be asked so. A registry may redirect there, or name a token service there.
//
// It also sends no login on with a redirect. net/http does so to another port of the same name, and
// to names below it.
type guard struct {
	next  http.RoundTripper
	plain func(host string) bool
	own   func(host string) bool // has a login of its own
}

// mayBePlain reports whether a login may be sent to a host over plain HTTP.
func (s *Session) mayBePlain(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	local, err := docker.MatchLocalhost(host)
	return err == nil && local || s.plain[host]
}

// hasPresented reports whether a host has been given a login of its own.
func (s *Session) hasPresented(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.used[host]
	return ok
}

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	moved := firstOf(r).URL.Host != r.URL.Host
	if moved && r.Header.Get("Authorization") != "" && !g.own(r.URL.Host) {
		r = r.Clone(r.Context())
		r.Header.Del("Authorization")
	}
	inBody := r.Method == http.MethodPost // to a token service
	var refused error
	switch {
	case inBody && moved:
		refused = errSentOn
	case (inBody || r.Header.Get("Authorization") != "") && r.URL.Scheme != "https" && !g.plain(r.URL.Host):
		refused = errPlain
	}
	if refused != nil {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, refused
	}
	return g.next.RoundTrip(r)
}

// firstOf returns the request that was redirected to r. It is r itself if none was.
func firstOf(r *http.Request) *http.Request {
	for r.Response != nil && r.Response.Request != nil {
		r = r.Response.Request
	}
	return r
}
