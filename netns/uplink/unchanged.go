package uplink

import "github.com/sallyport/sallyport/netns/ruleset"

// Unchanged reports whether the host's table is as this process last saw or made it. It is one request as long as nobody changes any
// table of the host; where somebody has, ours is read once and compared, entries included: a host has programs that change
// theirs all day.
func (u *Uplink) Unchanged() (known bool, at ruleset.Generation, err error) {
	err = u.locked(func(conn *ruleset.Conn) error {
		if known, at, err = conn.Unchanged(u.config.Table); err != nil || known {
			return err
		}
		known, err = u.compareKnown(conn)
		return err
	})
	return known, at, err
}

// compareKnown compares what there is with what was last read or written.
func (u *Uplink) compareKnown(conn *ruleset.Conn) (bool, error) {
	if u.knownAt == (ruleset.Generation{}) {
		return false, nil
	}
	if ok, err := ruleset.Matches(conn, u.table); err != nil || !ok {
		return false, err
	}
	before := u.known
	now, err := u.read(conn)
	if err != nil {
		return false, err
	}
	for _, s := range u.entrySets() {
		if add, del := ruleset.Diff(before[s.Name], now[s.Name]); len(add)+len(del) > 0 {
			return false, nil
		}
	}
	return true, nil
}
