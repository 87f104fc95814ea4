// Package times keeps the index of when a container's output was written. containerd's shim writes
// the output as it is, so an output file has no times of its own. The index is a file beside it.
//
// A mark is an offset and a time: at that time, the output file had that size. So the byte at
// position p was written at the latest at the time of the first mark with an offset above p. Marks
// are at most a second apart while output comes, so that time is right to within a second.
//
// Pitfall: the index is written after the output. The newest bytes may have no mark yet, and after
// a power cut or on a full disk marks are missing. Then a time is unknown or only a latest time. It
// is never an error that hides output.
package times
