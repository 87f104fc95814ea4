package registry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	remoteerrors "github.com/containerd/containerd/v2/core/remotes/errors"
)

const (
	// maxTries is how often a pull is tried before it fails, without a byte of a layer in between.
	maxTries = 4
	// FirstWait is the time before the second try. Each further one takes twice as long.
	FirstWait = time.Second
)

// Tries counts the attempts of one pull. The zero value has seen none.
type Tries struct {
	failed int // in a row, without a byte of a layer
	begun  bool
}

// Again reports whether a pull that has failed is worth another try, and after how many times
// FirstWait. received means that some of a layer came in this attempt: such a link is there and
// bad, so that errors of the network may pass. An error of a link that has brought nothing is
// reported at once.
func (t *Tries) Again(received bool, err error) (waits int, again bool) {
	if received {
		t.failed, t.begun = 0, true
	}
	t.failed++
	if t.failed >= maxTries || !t.mayPass(err) {
		return 0, false
	}
	return 1 << (t.failed - 1), true
}

func (t *Tries) mayPass(err error) bool {
	var status remoteerrors.ErrUnexpectedStatus
	if errors.As(err, &status) {
		return status.StatusCode >= 500 || status.StatusCode == http.StatusTooManyRequests
	}
	var network net.Error
	cut := errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, ErrStalled) || errors.As(err, &network)
	return t.begun && cut
}
