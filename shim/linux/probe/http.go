package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

// Limits on an answer. The body may be long enough to be quoted in the error, and for a server to
// send a short one completely.
const (
	maxHeader    = 64 << 10
	maxBody      = 10 << 10
	maxRedirects = 10
)

func httpURL(p *spec.HTTPProbe) string {
	u, err := url.ParseRequestURI(p.Path) // "//x" is a path and names no host
	if err != nil {
		u = &url.URL{Path: p.Path}
	}
	u.Scheme, u.Host = "http", loopback(p.Port)
	if p.HTTPS {
		u.Scheme = "https"
	}
	return u.String()
}

// httpTarget returns what an http probe does, for an error text. It does not show the headers,
// which may have a password.
func httpTarget(p *spec.HTTPProbe) string {
	return cmp.Or(p.Method, http.MethodGet) + " " + httpURL(p)
}

// newRequest returns the request of an http probe.
func newRequest(ctx context.Context, p *spec.HTTPProbe) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, cmp.Or(p.Method, http.MethodGet), httpURL(p), nil)
	if err != nil {
		return nil, err
	}
	req.Host = p.Host // empty: that of the URL
	req.Header.Set("User-Agent", "sallyport-probe")
	req.Header.Set("Accept", "*/*")
	for name, value := range p.Headers {
		req.Header.Set(name, value)
	}
	return req, nil
}

// tlsConfig returns how an https probe speaks TLS. It verifies no certificate: that is made for the
// names by which others find the server, and who answers on the loopback of the group is part of
// the group.
func tlsConfig(p *spec.HTTPProbe) *tls.Config {
	name := (&url.URL{Host: p.Host}).Hostname()
	if _, err := netip.ParseAddr(name); err == nil {
		name = "" // RFC 6066 has no addresses as names of servers
	}
	return &tls.Config{InsecureSkipVerify: true, ServerName: name}
}

// askHTTP succeeds on a status from 200 to 399. It follows a redirect to the same port. Any other
// redirect is itself the answer.
func askHTTP(ctx context.Context, p *spec.HTTPProbe, dial dialer) error {
	req, err := newRequest(ctx, p)
	if err != nil {
		return err
	}
	client := http.Client{
		Transport: &http.Transport{
			DialContext: dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig: tlsConfig(p),
		},
		CheckRedirect: func(to *http.Request, before []*http.Request) error {
			if to.URL.Scheme != req.URL.Scheme || to.URL.Host != req.URL.Host {
				return http.ErrUseLastResponse
			}
			if len(before) > maxRedirects {
				return fmt.Errorf("it redirects more than %d times", maxRedirects)
			}
			return nil
		},
	}
	// The transport connects, and shakes hands for TLS, beyond the end of ctx. This ends it.
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // resultError adds the method and the URL
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // the status alone decides
	if resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return nil
	}
	status := fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if text := hint.Excerpt(string(body), hint.Short); !repeatsStatus(text, status) {
		return fmt.Errorf("%s: %s", status, text)
	}
	return errors.New(status)
}

// repeatsStatus reports whether a body adds nothing to the status. The bodies of most libraries
// don't: "404 page not found".
func repeatsStatus(body, status string) bool {
	known := strings.Fields(strings.ToLower(status) + " page")
	for word := range strings.FieldsSeq(strings.ToLower(body)) {
		if !slices.Contains(known, strings.Trim(word, ".,:;!")) {
			return false
		}
	}
	return true
}
