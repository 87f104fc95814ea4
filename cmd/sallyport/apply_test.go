package main

import (
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/shim/group"
)

func TestNoteTrial(t *testing.T) {
	var text strings.Builder
	u := &ui{err: &text}
	noteTrial(u, group.Status{Name: "shop", Generation: 4})
	if text.Len() > 0 {
		t.Errorf("without a trial it prints %q", text.String())
	}
	noteTrial(u, group.Status{Name: "shop", Generation: 4, TrialEnds: time.Unix(1, 0)})
	const want = "sallyport: generation 4 of shop is on trial; \"sallyport history shop\" shows the verdict, and --settle waits for it\n"
	if text.String() != want {
		t.Errorf("it prints %q, want %q", text.String(), want)
	}
}
