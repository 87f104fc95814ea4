package ctrd

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

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestPullProblem(t *testing.T) {
	src := source{name: "r.example/app:1", host: "r.example"}
	get := func(err error) error { return &url.Error{Op: "Head", URL: "https://r.example/v2/", Err: err} }
	for _, tt := range []struct {
		name string
		err  error
		want string // after "image r.example/app:1: "
		hint string // empty: no hint.Error
	}{
		{"stalled", errStalled, "r.example sent nothing for 1m0s", "the next try goes on"},
		{"unknown authority", get(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), "r.example presents a certificate of an authority", "update-ca-certificates"},
		{"another name", get(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "r.example"}), "r.example presents a certificate that isn't valid", "clock"},
		{"expired", get(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), "r.example presents a certificate that isn't valid", "clock"},
		{"plain http", get(errors.New("http: server gave HTTP response to HTTPS client")), "r.example doesn't speak TLS", "loopback"},
		{"no tls at all", get(tls.RecordHeaderError{Msg: "x"}), "r.example doesn't speak TLS", "loopback"},
		{"login", fmt.Errorf("x: %w", docker.ErrInvalidAuthorization), "r.example refuses access to it", "login"},
		{"forbidden", remoteerrors.ErrUnexpectedStatus{StatusCode: 403, Status: "403 Forbidden"}, "r.example refuses access to it", "login"},
		{"not there", fmt.Errorf("x: %w", errdefs.ErrNotFound), "r.example doesn't have it", "name and tag"},
		{"no such host", get(&net.OpError{Op: "dial", Err: &net.DNSError{Name: "r.example"}}), "r.example can't be reached", "archive"},
		{"refused", get(&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}), "r.example can't be reached", "archive"},
		{"given up", context.Canceled, "context canceled", ""},
		{"deadline", fmt.Errorf("x: %w", context.Canceled), "x: context canceled", ""},
		{"server error", remoteerrors.ErrUnexpectedStatus{StatusCode: 500, Status: "500"}, "pull: unexpected status", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := pullProblem(src, tt.err)
			if !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "image r.example/app:1: ") || errors.Unwrap(err) == nil {
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
