package machine

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// Need ends a test whose machine lacks something: a skip on a laptop, a failure in CI.
func Need(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Eventually looks again until f is satisfied. It is for what happens by itself; a verb is waited for by its own end.
func Eventually(t testing.TB, limit time.Duration, what string, f func() error) {
	t.Helper()
	if err := Retry(limit, f); err != nil {
		t.Fatalf("not within %v: %s: %v", limit, what, err)
	}
}

// Retry is eventually for a goroutine, which may not end the test.
func Retry(limit time.Duration, f func() error) (err error) {
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = f(); err == nil {
			return nil
		}
	}
	return err
}

func Contains(text string, words ...string) error {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return fmt.Errorf("no %q in:\n%s", w, text)
		}
	}
	return nil
}
