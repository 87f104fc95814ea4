// Command shipper is the example's sidecar. It follows the app's log in the shared volume and posts
// its lines to a log service. It reaches the service through the ambassador on localhost.
//
// Pitfall: a line is sent at least once. Lines that the service did not confirm are sent again,
// and after a restart the shipper begins at the start of the file.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := &shipper{
		url:    os.Getenv("LOGS_URL"),
		client: http.Client{Timeout: 5 * time.Second},
		tail:   &tail{path: os.Getenv("LOG_FILE")},
		out:    os.Stdout,
	}
	if s.url == "" || s.tail.path == "" {
		fmt.Fprintln(os.Stderr, "shipper: LOGS_URL and LOG_FILE must be set")
		os.Exit(2)
	}
	fmt.Printf("shipping %s to %s\n", s.tail.path, s.url)
	s.run(ctx, time.Second)
}
