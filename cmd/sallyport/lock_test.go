package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/shim/hint"
)

func TestLock(t *testing.T) {
	dir := t.TempDir()
	first, err := takeLock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = takeLock(dir)
	if problem, ok := errors.AsType[*hint.Error](err); !ok || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid(), ",")) {
		t.Errorf("a second lock: %v, hint %+v", err, problem)
	}
	other, err := takeLock(t.TempDir())
	if err != nil {
		t.Fatalf("another folder: %v", err)
	}
	other.release()
	first.release()
	again, err := takeLock(dir)
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	again.release()
}
