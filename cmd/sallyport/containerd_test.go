package main

import (
	"testing"

	"github.com/sallyport/sallyport/shim/layout"
)

func TestChooseContainerd(t *testing.T) {
	l := layout.Layout{StateDir: t.TempDir()}
	choose := func(flag, want string) {
		t.Helper()
		got, err := runtimeFlags{Containerd: flag}.choose(l)
		if err != nil || got != want {
			t.Errorf("with flag %q: got %q, %v; want %q", flag, got, err, want)
		}
	}
	choose("/run/x.sock", "/run/x.sock")
	if err := remember(l, "/run/x.sock"); err != nil {
		t.Fatal(err)
	}
	choose("", "/run/x.sock") // although no containerd answers there: our containers are in it
	choose(privateContainerd, privateContainerd)
	if err := remember(l, privateContainerd); err != nil {
		t.Fatal(err)
	}
	choose("", privateContainerd)
}
