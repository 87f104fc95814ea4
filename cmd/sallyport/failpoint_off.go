//go:build !failpoint

package main

import "github.com/sallyport/sallyport/shim/runner"

// withFailpoints returns config as it is: the binary that users get has no failpoints.
func withFailpoints(config runner.Config, _ []string) runner.Config { return config }
