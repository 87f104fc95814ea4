package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// tryTimeout is how long a call waits that is neither answered nor refused.
const tryTimeout = 5 * time.Second

// try makes one call and prints its answer and how long it took. The error of a failed call has the
// time too.
func try(ctx context.Context, url string, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	took := time.Since(start).Round(time.Microsecond)
	if err != nil {
		return fmt.Errorf("failed after %v: %w", took, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s after %v: %s\n", resp.Status, took, strings.TrimSpace(string(body)))
	return err
}
