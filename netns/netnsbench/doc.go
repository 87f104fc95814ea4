// Package netnsbench makes load in network namespaces and compares paths by it, for benchmarks.
//
// Pitfall: a load is a process of the test binary under another name, so TestMain has to call
// [Main] instead of [netnstest.Main].
package netnsbench

import (
	"testing"

	"github.com/sallyport/sallyport/netns/netnstest"
)

// Main is [netnstest.Main] for a package whose benchmarks start loads: os.Exit(netnsbench.Main(m)).
func Main(m *testing.M) int {
	loadMain()
	return netnstest.Main(m)
}
