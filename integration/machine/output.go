package machine

import (
	"bytes"
	"fmt"
	"sync"
	"testing"
	"time"
)

// An Output holds the output of a process so far.
type Output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// WaitFor waits until the output contains all words.
func (o *Output) WaitFor(t *testing.T, words ...string) {
	t.Helper()
	Eventually(t, time.Minute, fmt.Sprintf("it says %q", words), func() error { return Contains(o.String(), words...) })
}
