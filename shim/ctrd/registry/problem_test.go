package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestProblem(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	get := func(err error) error { return &url.Error{Op: "Head", URL: "https://r.example/v2/", Err: err} }
	for _, tt := range []struct {
		name string
		err  error
		want string
		hint string // empty: no hint.Error
	}{
		{"stalled", ErrStalled, "r.example sent nothing for a minute", "the next try goes on"},
		{"unknown authority", get(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "r.example presents a certificate of an authority", "update-ca-certificates"},
		{"another name", get(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "r.example"}), "r.example presents a certificate that isn't valid for this name", "use the name"},
		{"expired", get(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), "r.example presents a certificate that isn't valid", "clock"},
		{"expired last year", get(x509.CertificateInvalidError{Cert: &x509.Certificate{NotBefore: time.Unix(1, 0), NotAfter: time.Unix(2, 0)}, Reason: x509.Expired}), "isn't valid", "renew the certificate, which ended at 1970-01-01 00:00:02: this host's clock has 2"},
		{"from the future", get(x509.CertificateInvalidError{Cert: &x509.Certificate{NotBefore: time.Now().AddDate(90, 0, 0), NotAfter: time.Now().AddDate(99, 0, 0)}, Reason: x509.Expired}), "isn't valid", "set the clock: the certificate begins at 2"},
		{"plain http", get(errors.New("http: server gave HTTP response to HTTPS client")), "r.example doesn't speak TLS", "loopback"},
		{"no tls at all", get(tls.RecordHeaderError{Msg: "x"}), "r.example doesn't speak TLS", "loopback"},
		{"login", fmt.Errorf("x: %w", docker.ErrInvalidAuthorization), "r.example refuses access to it", "login"},
		{"forbidden", remoteerrors.ErrUnexpectedStatus{StatusCode: 403, Status: "403 Forbidden"}, "r.example refuses access to it", "login"},
		{"not there", fmt.Errorf("x: %w", errdefs.ErrNotFound), "r.example doesn't have it", "name and tag"},
		{"no such host", get(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "r.example"}}), "r.example can't be reached", "archive"},
		{"refused", get(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), "r.example can't be reached", "archive"},
		{"given up", context.Canceled, "context canceled", ""},
		{"deadline", fmt.Errorf("x: %w", context.Canceled), "x: context canceled", ""},
		{"server error", remoteerrors.ErrUnexpectedStatus{StatusCode: 500, Status: "500"}, "r.example fails: unexpected status", "try again later"},
		{"too many requests", remoteerrors.ErrUnexpectedStatus{StatusCode: 429, Status: "429"}, "r.example has had too many requests", "sallyport login r.example"},
		{"its token service", remoteerrors.ErrUnexpectedStatus{StatusCode: 401, Status: "401", RequestURL: "https://auth.example/token?account=x"}, "r.example (at auth.example) refuses access to it", "sallyport login r.example"},
		{"no such name", get(&net.DNSError{Name: "r.example", IsNotFound: true}), "r.example can't be reached", "/etc/resolv.conf"},
		{"proxy", get(&net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED}), "r.example can't be reached", "proxy does not answer"},
		{"proxy with a login", get(errors.New("Proxy Authentication Required")), "r.example can't be reached", "USER:PASSWORD@PROXY"},
		{"plain token service", get(errPlain), "r.example sends logins on to a server without TLS", "those who run it"},
		{"token service that redirects", get(errSentOn), "r.example sends logins on to another server", "those who run it"},
		{"unknown", errors.New("odd"), "r.example: odd", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := s.Problem("r.example", tt.err)
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			var p *hint.Error
			if got := errors.As(err, &p); got != (tt.hint != "") {
				t.Fatalf("problem %v: %v", got, err)
			}
			if p != nil && !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("hint %q, want %q", p.Hint, tt.hint)
			}
		})
	}
}

// A mirror that fails is in the error. The hint is for the registry behind it if that refuses
// access.
func TestProblemBehindAMirror(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	s.places["r.example"] = []string{"mirror.example", "r.example"}
	s.answered("mirror.example", 502)
	for status, want := range map[int]string{200: "try again later", 503: "try again later", 401: "sallyport login r.example", 403: "sallyport login r.example"} {
		s.answered("r.example", status)
		for at, want := range map[string]string{"mirror.example": want, "tokens.example": "try again later"} {
			err := s.Problem("r.example", remoteerrors.ErrUnexpectedStatus{StatusCode: 502, Status: "502", RequestURL: "https://" + at + "/v2/"})
			if !strings.Contains(err.Error(), "r.example (at "+at+") fails") || !strings.Contains(hint.Of(err), want) {
				t.Errorf("%d at %s: %v; hint %q", status, at, err, hint.Of(err))
			}
		}
	}
}

// What a URL may have of secrets is in no error.
func TestProblemHidesSecrets(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	for _, text := range []string{"https://blobs.example/x?Signature=" + secret, "https://bob:" + secret + "@r.example/x", "invalid proxy address \"http://u:" + secret + "@p\"",
		"invalid proxy address \"http://u:" + secret + "/@p\": parse \"http://u:" + secret + "/@p\": invalid port \":" + secret + "\" after host"} {
		for _, err := range []error{
			&url.Error{Op: "Get", URL: text, Err: syscall.ECONNREFUSED}, remoteerrors.ErrUnexpectedStatus{StatusCode: 403, RequestURL: text}, errors.New(text),
		} {
			got := s.Problem("r.example", err)
			if strings.Contains(got.Error()+hint.Of(got), secret) {
				t.Error(got)
			}
			if !errors.Is(got, err) && !errors.As(got, &remoteerrors.ErrUnexpectedStatus{}) {
				t.Errorf("%v is no %v any more", got, err)
			}
		}
	}
}

// The error of a registry that has seen a login names it, and not the password.
func TestProblemNamesTheLogin(t *testing.T) {
	s := New("", Settings{}).Open(t.Context(), nil)
	defer s.Close()
	s.find = func(context.Context, string) (login, error) {
		return login{user: "bob", password: secret, file: "/etc/x.json"}, nil
	}
	if _, _, err := s.credentials("r.example"); err != nil {
		t.Fatal(err)
	}
	err := s.Problem("r.example", fmt.Errorf("x: %w", docker.ErrInvalidAuthorization))
	if want := `r.example refuses access to it for user "bob" of /etc/x.json`; !strings.Contains(err.Error(), want) || !strings.Contains(hint.Of(err), "this user may pull it") {
		t.Errorf("%v, hint %q", err, hint.Of(err))
	}
}
