// Package shimtest is a host in memory for the tests of whoever keeps groups: it has networks, volumes, images and
// containers, prints itself in an operator's words, fails where it is told to, and notes every time the promise was broken.
//
// What bites: it notes and goes on. A test must ask for [Host.Violations] at its end.
package hosttest
