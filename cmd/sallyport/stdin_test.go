package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
	"github.com/sallyport/sallyport/spec"
)

func TestReadStdin(t *testing.T) {
	for _, tt := range []struct{ name, text, err string }{
		{"a file", "group", ""},
		{"as long as may be", strings.Repeat("x", spec.MaxGroupFile), ""},
		{"too long", strings.Repeat("x", spec.MaxGroupFile+1), "standard input has more than 256 KiB, and a group file may have at most that"},
		{"empty", "", "standard input is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			go func() {
				_, _ = out.WriteString(tt.text)
				out.Close()
			}()
			got, err := readStdin(t.Context(), in)
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if err == nil && string(got) != tt.text {
				t.Errorf("got %d bytes, want %d", len(got), len(tt.text))
			}
		})
	}
}

// Someone who types no file is not kept waiting, and can interrupt what waits for a pipe.
func TestReadStdinWaitsForNothing(t *testing.T) {
	_, slave := openPTY(t)
	if _, err := readStdin(t.Context(), slave); err == nil || err.Error() != "standard input is a terminal, and - reads a group file from it" || hint.Of(err) == "" {
		t.Errorf("a terminal: %v", err)
	}
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	defer out.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(&signalled{syscall.SIGINT})
	if _, err := readStdin(ctx, in); err == nil || err.Error() != "interrupted" {
		t.Errorf("interrupted: %v", err)
	}
}
