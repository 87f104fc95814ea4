package machine

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Need ends a test on a computer that lacks something. It skips the test on a laptop, and fails it
// when CI is set.
func Need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// BeforeResync limits the wait for what the daemon does because of an event. It is shorter than the
// 30 s after which a group is looked at without one.
const BeforeResync = 25 * time.Second

// Eventually calls f until it returns nil, and fails the test after limit. It is for what happens
// in the background. A command is done when it ends. Only a failure takes as long as limit, so a
// minute costs nothing.
func Eventually(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := Retry(limit, f); err != nil {
		t.Fatalf("not within %v: %s: %v", limit, what, err)
	}
}

// Retry is Eventually for a goroutine, which may not end the test.
func Retry(limit time.Duration, f func() error) (err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

// Contains returns an error if text lacks one of the words.
func Contains(text string, words ...string) error {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Errorf("no %q in:\n%s", w, text)
		}
	}
	return nil
}
