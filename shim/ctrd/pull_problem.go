package ctrd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/remotes/docker"
	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
	"github.com/containerd/errdefs"

	"github.com/sallyport/sallyport/shim/hint"
)

// pullProblem returns in an operator's words why an image could not be pulled, and what to do.
func pullProblem(src source, err error) error {
	problem := func(hint_, format string, args ...any) error {
		return &hint.Error{Err: fmt.Errorf("image %s: "+format, append([]any{src.name}, args...)...), Hint: hint_}
	}
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		noTLS     tls.RecordHeaderError
		status    remoteerrors.ErrUnexpectedStatus
		dns       *net.DNSError
		network   net.Error
		platform  *otherPlatformError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network):
		return fmt.Errorf("image %s: %w", src.name, err)
	case errors.As(err, &platform):
		return problem("name an image for this host's platform", "%s has %w", src.host, platform)
	case errors.Is(err, errStalled):
		return problem("see whether the link works; the next try goes on where this one stopped",
			"%s sent nothing for %v: %w", src.host, stallTimeout, err)
	case errors.As(err, &authority):
		return problem("add its authority to this host (/usr/local/share/ca-certificates, update-ca-certificates) and restart the daemon",
			"%s presents a certificate of an authority that this host doesn't know: %w", src.host, err)
	case errors.As(err, &hostname), errors.As(err, &invalid):
		return problem("give the registry a valid certificate for this name, and see whether this host's clock is right",
			"%s presents a certificate that isn't valid: %w", src.host, err)
	case errors.As(err, &noTLS), err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return problem("give the registry a certificate: plain HTTP is used only for a registry on this host's loopback",
			"%s doesn't speak TLS: %w", src.host, err)
	case errors.Is(err, docker.ErrInvalidAuthorization), errors.As(err, &status) && refused(status.StatusCode):
		return problem("check the name; an image that needs a login can be brought as an archive (oci-archive:/path.tar)",
			"%s refuses access to it: %w", src.host, err)
	case errdefs.IsNotFound(err):
		return problem("check its name and tag", "%s doesn't have it, or not for this platform: %w", src.host, err)
	case errors.As(err, &dns), errors.As(err, &network):
		return problem("check its name and the link; an image can also be brought as an archive (oci-archive:/path.tar)",
			"%s can't be reached: %w", src.host, err)
	}
	return fmt.Errorf("image %s: pull: %w", src.name, err)
}

func refused(status int) bool {
	return status == http.StatusUnauthorized || status == http.StatusForbidden
}
