// Package promise holds a container to the promise of its group: it reaches the network only
// through the group's ambassador. [Edit] takes away from an OCI spec what the group's network rules
// can't see. [Refusals] lists the requests of a spec that can't be taken away, because that would
// make it another container.
//
// The package is pure. It knows the OCI runtime spec and the lists of package spec, and no runtime.
// So any runtime that builds an OCI spec can hold the same promise.
//
// A spec is only half of the promise. The runtime must join the namespace before the first
// instruction of the program, and the host must have the rules in force by then.
package promise
