//go:build !failpoint

package main

import (
	"github.com/sallyport/sallyport/shim/keeper"
	"github.com/sallyport/sallyport/shim/layout"
	"github.com/sallyport/sallyport/shim/signed"
)

// withFailpoints returns config as it is: the binary that users get has no failpoints.
func withFailpoints(config keeper.Config, _ []string) keeper.Config { return config }

// failpointProofs returns nil: the proofs of the layout, without failpoints.
func failpointProofs(layout.Layout, []string) *signed.Proofs { return nil }
