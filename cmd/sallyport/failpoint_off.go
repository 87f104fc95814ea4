//go:build !failpoint

package main

import "github.com/sallyport/sallyport/shim"

// withFailpoints returns config as it is: the binary that users get has no failpoints.
func withFailpoints(config shim.RunnerConfig, _ []string) shim.RunnerConfig { return config }
