//go:build !failpoint

package main

import "github.com/sallyport/sallyport/shim/keeper"

// withFailpoints returns config as it is: the binary that users get has no failpoints.
func withFailpoints(config keeper.Config, _ []string) keeper.Config { return config }
