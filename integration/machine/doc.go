// Package machine is the harness of the integration tests. It runs the built binary as a daemon on
// a host of its own, and looks at what the daemon does to that host.
//
// Pitfall: the daemon under test lives in a network namespace of its own, so its host table and
// links are not the computer's. Its cgroups and /tmp are. SALLYPORT_BIN names the binary. `make
// integration` builds it and what the tests run.
package machine
