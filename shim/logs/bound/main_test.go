package bound

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// A test binary that is started again with one of these in its environment is a process of its own.
const (
	boundIn = "SALLYPORT_TEST_BOUND" // bounds the output in that folder
	writeTo = "SALLYPORT_TEST_WRITE" // writes output to that file until its standard input ends
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(boundIn); dir != "" {
		b, err := New(Config{LogDir: dir, Started: func() { fmt.Println("started") }})
		if err == nil {
			err = b.Run(context.Background())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if path := os.Getenv(writeTo); path != "" {
		writeUntilEOF(path)
	}
	goleak.VerifyTestMain(m)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a bounder until the function that it returns is called.
func start(t *testing.T, dir string) (stop func()) {
	t.Helper()
	b, err := New(Config{LogDir: dir, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	must(t, err)
	return run(t, b)
}

func run(t *testing.T, b *Bounder) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}
