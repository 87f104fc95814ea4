package integration

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"
)

// An output is what a process printed so far.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func (o *output) waitFor(t *testing.T, words ...string) {
	t.Helper()
	eventually(t, 10*time.Second, fmt.Sprintf("it says %q", words), func() error { return says(o.String(), words...) })
}
