package main

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/netns/watch"
)

// Where changes can't be heard, the daemon goes on and reports it once.
func TestChangesThatCannotBeHeard(t *testing.T) {
	var out bytes.Buffer
	w := hearChanges(func() (*watch.Watcher, error) { return nil, errors.New("no sockets") }, slog.New(slog.NewTextHandler(&out, nil)))
	defer w.Close()
	if w != nil {
		t.Errorf("got %+v", w)
	}
	if strings.Count(out.String(), "level=WARN") != 1 || !strings.Contains(out.String(), "no sockets") {
		t.Errorf("logged: %s", out.String())
	}
}
