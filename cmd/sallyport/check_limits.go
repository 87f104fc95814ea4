package main

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/spec"
)

// checkLimits checks whether each container may have as many open files as Sallyport's default. A
// runtime without CAP_SYS_RESOURCE can't raise what it has inherited. Most likely containerd has
// what this process has.
func checkLimits(context.Context) (string, error) {
	var own unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &own); err != nil {
		return "", err
	}
	return limitsFound(own.Max, mayRaiseLimits())
}

// limitsFound returns doctor's line about a limit on open files, which may be raised or not.
func limitsFound(most uint64, raisable bool) (string, error) {
	want := uint64(0)
	for _, l := range (spec.Container{}).EffectiveUlimits() {
		if l.Name == "nofile" {
			want = uint64(l.Hard)
		}
	}
	if raisable || most >= want {
		return fmt.Sprintf("each container may have %d open files, or what its ulimits name", want), nil
	}
	return "", &note{
		fmt.Sprintf("each container may have %d open files at most, instead of %d", most, want),
		"without CAP_SYS_RESOURCE no limit can be raised: start containerd with a higher one (LimitNOFILE), or give it the capability",
	}
}
