package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/spec"
)

// What is read of an answer: enough of its body for the error to quote, and for a server to get rid of a short one.
const (
	maxHeader    = 64 << 10
	maxBody      = 10 << 10
	maxRedirects = 10
)

func httpURL(p *spec.HTTPProbe) string {
	u, err := url.ParseRequestURI(p.Path) // "//x" is a path, and nobody's name
	if err != nil {
		u = &url.URL{Path: p.Path}
	}
	u.Scheme, u.Host = "http", loopback(p.Port)
	return u.String()
}

// askHTTP succeeds on a status from 200 to 399. A redirect that stays on the port is followed; another is an answer as it is.
func askHTTP(ctx context.Context, p *spec.HTTPProbe, dial dialer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, httpURL(p), nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "sallyport-probe")
	req.Header.Set("Accept", "*/*")
	client := http.Client{
		Transport: &http.Transport{
			DialContext: dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(to *http.Request, before []*http.Request) error {
			if to.URL.Scheme != "http" || to.URL.Host != req.URL.Host {
				return http.ErrUseLastResponse
			}
			if len(before) > maxRedirects {
				return fmt.Errorf("it redirects more than %d times", maxRedirects)
			}
			return nil
		},
	}
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err // around it is what answer says anyway
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // the status is the answer
	if resp.StatusCode >= 200 && resp.StatusCode < 400 {
		return nil
	}
	status := fmt.Sprintf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if said := excerpt(string(body), maxExcerpt); !repeatsStatus(said, status) {
		return fmt.Errorf("%s: %s", status, said)
	}
	return errors.New(status)
}

// repeatsStatus says that a body tells no more than the status does, as those of most libraries: "404 page not found".
func repeatsStatus(body, status string) bool {
	known := strings.Fields(strings.ToLower(status) + " page")
	for word := range strings.FieldsSeq(strings.ToLower(body)) {
		if !slices.Contains(known, strings.Trim(word, ".,:;!")) {
			return false
		}
	}
	return true
}
