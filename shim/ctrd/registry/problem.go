package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	"github.com/containerd/containerd/v2/core/remotes/docker/auth"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
)

// ErrStalled is the cause of the end of a pull whose registry sends nothing any more.
var ErrStalled = errors.New("no data")

const archiveHint = "an image can also be brought as an archive (oci-archive:/path.tar)"

// Problem returns in an operator's words why a registry could not be asked, and what to do. An
// error that has a hint already, or that is a cancellation, is returned as it is.
func (s *Session) Problem(registry string, err error) error {
	var known *hint.Error
	var network net.Error
	switch {
	case err == nil, errors.As(err, &known),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network):
		return err
	}
	who := registry
	at := askedHost(err)
	if at != "" && serverOf(at) != serverOf(registry) {
		who += " (at " + at + ")" // its token service, a mirror, or where it keeps its data
	}
	text, advice := s.words(registry, err)
	if text == "" {
		return fmt.Errorf("%s: %w", who, clean(err))
	}
	if s.refusedBehind(registry, at) {
		advice = "the registry behind that mirror refuses access to it; " + s.refusedAdvice(registry)
	}
	if proxy := proxyOf(registry); proxy != "" {
		advice += "; the daemon asks it through the proxy " + proxy + ", which its HTTPS_PROXY names"
	}
	return &hint.Error{Err: fmt.Errorf("%s %s: %w", who, text, clean(err)), Hint: advice}
}

// words returns what is wrong with a registry, and what to do. Both are empty for an error that has
// no words of its own.
func (s *Session) words(registry string, err error) (text, advice string) {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		noTLS     tls.RecordHeaderError
		status    remoteerrors.ErrUnexpectedStatus
		dns       *net.DNSError
		op        *net.OpError
		network   net.Error
	)
	plainAnswer := strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
	switch {
	case errors.Is(err, ErrStalled):
		return "sent nothing for a minute", "see whether the link works; the next try goes on where this one stopped"
	case errors.Is(err, errPlain):
		return "sends logins on to a server without TLS", "the registry is set up badly: tell those who run it"
	case errors.Is(err, errSentOn):
		return "sends logins on to another server", "the registry is set up badly: tell those who run it"
	case errors.Is(err, errPlainLogin):
		return "can't be given a password safely", "give it a certificate; or, if you trust every machine on the way, repeat the command with --plain-http"
	case errors.Is(err, errNoRegistry):
		return "is no registry", "check its name and port"
	case errors.As(err, &authority):
		return "presents a certificate of an authority that this host doesn't know",
			s.hostsAdvice(registry, "put its authority into %s/ca.crt; or add it to this host: /usr/local/share/ca-certificates, update-ca-certificates, and restart the daemon")
	case errors.As(err, &invalid):
		return "presents a certificate that isn't valid", invalidAdvice(invalid, time.Now())
	case errors.As(err, &hostname):
		return "presents a certificate that isn't valid for this name", "give the registry a certificate for this name, or use the name in its certificate"
	case errors.As(err, &noTLS), plainAnswer:
		return "doesn't speak TLS", s.hostsAdvice(registry, "give the registry a certificate; or ask for plain HTTP with server = \"http://"+registry+"\" in %s/hosts.toml. Without that it is used on loopback alone")
	case errors.As(err, &op) && op.Op == "remote error": // an alert (crypto/tls, Conn.in)
		return "ends the TLS handshake", s.hostsAdvice(registry, "it may want a certificate of this host: client.cert and client.key in %s; see the registry's log")
	case errors.As(err, &status) && status.StatusCode == http.StatusTooManyRequests:
		return "has had too many requests from here", s.loginAdvice(registry, "wait, or log in, which may raise the limit: sallyport login "+registry, "wait; the registry limits this user")
	case errors.Is(err, docker.ErrInvalidAuthorization), errors.As(err, &status) && refused(status.StatusCode):
		l, ok := s.presented(registry)
		if !ok {
			return "refuses access to it" + s.without(registry), s.refusedAdvice(registry)
		}
		return "refuses access to it for " + l.String(), s.refusedAdvice(registry)
	case errors.As(err, &status) && status.StatusCode >= 500:
		return "fails", "try again later; the registry's log has the reason"
	case errors.Is(err, auth.ErrNoToken):
		return "has a token service that gives no token", "tell those who run it; " + archiveHint
	case errdefs.IsNotFound(err):
		return "doesn't have it, or not for this platform", "check its name and tag"
	case strings.Contains(err.Error(), "Proxy Authentication Required"):
		return "can't be reached", "the proxy wants a user and a password: HTTPS_PROXY=http://USER:PASSWORD@PROXY in /etc/default/sallyport, which only root should read"
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return "can't be reached", "the proxy does not answer"
	case errors.As(err, &dns) && dns.IsNotFound:
		return "can't be reached", "no resolver of this host knows the name: check it, and /etc/resolv.conf; " + archiveHint
	case errors.As(err, &dns), errors.As(err, &network):
		return "can't be reached", "check its name and the link; " + archiveHint
	}
	return "", ""
}

// hostsAdvice puts the folder that describes a registry into an advice.
func (s *Session) hostsAdvice(registry, advice string) string {
	root := s.settings.Hosts
	if root == "" {
		root = "the folder of the setting registries.hosts"
	}
	name := registry
	if i := strings.LastIndexByte(name, ':'); i > 0 {
		name = name[:i] + "_" + name[i+1:] + "_"
	}
	return fmt.Sprintf(advice, filepath.Join(root, name))
}

func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}

// invalidAdvice is for a certificate that isn't valid. This host's clock may be the reason.
func invalidAdvice(err x509.CertificateInvalidError, now time.Time) string {
	const advice = "give the registry a valid certificate, and see whether this host's clock is right"
	if err.Reason != x509.Expired || err.Cert == nil || err.Cert.NotAfter.IsZero() {
		return advice
	}
	clock := "this host's clock has " + now.UTC().Format(time.DateTime) + " UTC"
	if now.Before(err.Cert.NotBefore) {
		return fmt.Sprintf("set the clock: the certificate begins at %s, and %s", err.Cert.NotBefore.UTC().Format(time.DateTime), clock)
	}
	return fmt.Sprintf("renew the certificate, which ended at %s: %s", err.Cert.NotAfter.UTC().Format(time.DateTime), clock)
}

// presented returns the login that a registry or a host that it sent us to has seen.
func (s *Session) presented(registry string) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for host, l := range s.used {
		if serverOf(host) == serverOf(registry) || s.names[host] == registry {
			return l, true
		}
	}
	return login{}, false
}

// loginAdvice returns the first text if the registry has seen no login, else the second.
func (s *Session) loginAdvice(registry, without, with string) string {
	if _, ok := s.presented(registry); ok {
		return with
	}
	return without
}

// maxParts is of how many parts of a registry an error has the names.
const maxParts = 3

// without returns, for an error, where no login for the image was found. It is empty if there are
// no files of logins.
func (s *Session) without(registry string) string {
	files := s.of.files(s.settings)
	if len(files) == 0 {
		return ""
	}
	var parts []string
	for _, path := range files {
		if store, err := openLogins(s.ctx, path); err == nil && store != nil {
			parts = append(parts, store.parts(registry)...)
		}
	}
	text := ", and no login for it is in " + strings.Join(files, " or ")
	if more := len(parts) - maxParts; more > 0 {
		parts = append(parts[:maxParts], fmt.Sprintf("%d more", more))
	}
	if len(parts) > 0 {
		text += " (there are some for " + strings.Join(parts, ", ") + ")"
	}
	return text
}

// refusedAdvice is for a registry that refuses access.
func (s *Session) refusedAdvice(registry string) string {
	if l, ok := s.presented(registry); ok && l.part != "" {
		return "check the name, and whether this user may pull it; log in again: sallyport login " + l.part
	}
	return s.loginAdvice(registry, "check the name; if it needs a login: sallyport login "+registry+"; "+archiveHint,
		"check the name, and whether this user may pull it; log in again: sallyport login "+registry)
}

func (s *Session) answered(host string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.statuses[host] = status
}

// refusedBehind reports whether a host is a mirror, and the registry itself has refused access.
// containerd's error is that of the mirror then.
func (s *Session) refusedBehind(registry, at string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.places[registry]) - 1
	return last > 0 && slices.Contains(s.places[registry][:last], at) && refused(s.statuses[s.places[registry][last]])
}

// askedHost returns the host of the request that an error is about, or "".
func askedHost(err error) string {
	var status remoteerrors.ErrUnexpectedStatus
	var request *url.Error
	text := ""
	switch {
	case errors.As(err, &status):
		text = status.RequestURL
	case errors.As(err, &request):
		text = request.URL
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// proxyOf returns the host of the proxy through which a registry is asked, or "".
func proxyOf(registry string) string {
	u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "https", Host: registry}})
	if err != nil || u == nil {
		return ""
	}
	return u.Host
}

// secretInURL matches what an error must not repeat of a URL: the user before the host, and the
// query, where storage services have signatures.
var secretInURL = regexp.MustCompile(`://[^/\s"'@]*@|\?[^\s"']*`)

// badProxy is in the error of net/http about a proxy's address, before the address. Other errors
// about it follow, with parts of the address.
const badProxy = "invalid proxy address"

// clean returns err with a text that has no secret of a URL in it. errors.Is and errors.As find in
// it what they find in err.
func clean(err error) error {
	text := secretInURL.ReplaceAllStringFunc(err.Error(), func(found string) string {
		if strings.HasPrefix(found, "?") {
			return "?…"
		}
		return "://"
	})
	if before, _, found := strings.Cut(text, badProxy); found {
		text = before + badProxy
	}
	if text != err.Error() {
		return &cleaned{text, err}
	}
	return err
}

type cleaned struct {
	text string
	err  error
}

func (c *cleaned) Error() string { return c.text }
func (c *cleaned) Unwrap() error { return c.err }

// withoutQuery returns a URL's text up to its query.
func withoutQuery(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }
