package uplink

import "github.com/sallyport/sallyport/netns/ruleset"

// Unchanged reports whether the host's table is as this process last read or wrote it. It costs one
// request as long as no table of the host changes. After a change of any table, ours is read once
// and compared, including its entries: other programs of a host change their tables all day.
func (u *Uplink) Unchanged() (unchanged bool, at ruleset.Generation, err error) {
	err = u.locked(func(conn *ruleset.Conn) error {
		if unchanged, at, err = conn.Unchanged(u.config.Table); err != nil || unchanged || u.outdated {
			unchanged = unchanged && !u.outdated
			return err
		}
		unchanged, err = u.compareKnown(conn)
		return err
	})
	return unchanged, at, err
}

// compareKnown reports whether the table equals what was last read or written.
func (u *Uplink) compareKnown(conn *ruleset.Conn) (bool, error) {
	if u.knownAt == (ruleset.Generation{}) {
		return false, nil
	}
	if ok, err := ruleset.Matches(conn, u.table); err != nil || !ok {
		return false, err
	}
	before := u.known.all()
	read, err := u.read(conn)
	if err != nil {
		return false, err
	}
	now := read.all()
	for _, s := range u.entrySets() {
		if add, del := ruleset.Diff(before[s.Name], now[s.Name]); len(add)+len(del) > 0 {
			return false, nil
		}
	}
	return true, nil
}
