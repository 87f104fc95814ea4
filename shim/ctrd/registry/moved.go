package registry

import (
	"io"
	"net/http"
)

// A countingTransport reports each answer, and each piece of an answer's body.
type countingTransport struct {
	next  http.RoundTripper
	moved func()
}

func (t *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.moved()
	resp.Body = &countingBody{ReadCloser: resp.Body, moved: t.moved}
	return resp, nil
}

type countingBody struct {
	io.ReadCloser
	moved func()
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if n > 0 {
		b.moved()
	}
	return n, err
}
