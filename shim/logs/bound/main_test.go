package bound

import (
	"context"
	"fmt"
	"os"
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
