// Package hosttest is a host in memory, for the tests of what keeps groups. It has networks,
// volumes, images and containers. It prints itself in an operator's words, fails where a test asks
// for it, and records each violation of an [Invariant].
//
// Pitfall: a violation fails no call and no test. A test must check [Host.Violations] at its
// end.
package hosttest
