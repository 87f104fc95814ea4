// Package journald forwards the output of containers to systemd's journal, for groups whose file
// asks for it. It reads the output files while containerd's shims write them, so no container waits
// for the journal. Each line is sent at least once: the position in a file is saved after its lines
// were sent. Output whose space was freed before it was sent is counted, and an entry has how much
// that was. A line that comes late, as after the journal was away, has a field for when it was
// written.
//
// Pitfall: "sent" means that the journal's socket has taken it. journald itself drops entries over
// the rate limit of the sender's unit, so that unit must have a limit that is never reached. 0 is
// no limit of its own, and journald's counts.
package journald
