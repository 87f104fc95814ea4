// Command web is the example's app: a shop that charges every order through the payments service
// and writes a log. It reaches the service through the ambassador on localhost.
//
// `web try URL` makes one call and prints its outcome and how long it took. With it the demo shows
// that the same call made directly is refused.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage: web serve      take orders; settings in the environment: PAYMENTS_URL, LOG_FILE, LISTEN
       web try URL    make one call, print how it ended and how long it took
`

func main() {
	// Process 1 of a container ignores every signal for which it has no handler.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 1 && args[0] == "serve":
		err = serve(ctx, config{
			payments: getenv("PAYMENTS_URL"),
			logFile:  getenv("LOG_FILE"),
			listen:   getenv("LISTEN"),
			every:    time.Second,
		}, stdout)
	case len(args) == 2 && args[0] == "try":
		err = try(ctx, args[1], stdout)
	default:
		fmt.Fprint(stderr, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "web:", err)
		return 1
	}
	return 0
}
