package uplink

import "github.com/sallyport/sallyport/netns/ruleset"

// Unchanged reports whether the host's table is as this process last read or wrote it. It costs one
// request as long as no table of the host changes. After a change of any table, ours is read once
// and compared, including its entries: other programs of a host change their tables all day. If
// another method has read entries that others changed, the next call of Unchanged returns false.
func (u *Uplink) Unchanged() (unchanged bool, at ruleset.Generation, err error) {
	err = u.locked(func(conn *ruleset.Conn) error {
		if unchanged, at, err = conn.Unchanged(u.config.Table); err != nil || u.outdated {
			unchanged = false
			return err
		}
		if !unchanged && u.known.byLink != nil {
			if unchanged, err = ruleset.Matches(conn, u.table); err != nil {
				return err
			}
		}
		if at != u.knownAt {
			if _, err := u.read(conn); err != nil {
				unchanged = false
				return err
			}
		}
		unchanged, u.altered = unchanged && !u.altered, false
		return nil
	})
	return unchanged, at, err
}

// differs reports whether the entries are others than those that are known. It returns false if
// none were read before.
func (u *Uplink) differs(now elements) bool {
	if u.known.byLink == nil {
		return false
	}
	before := u.known.all()
	for _, s := range u.entrySets() {
		if add, del := ruleset.Diff(before[s.Name], now[s.Name]); len(add)+len(del) > 0 {
			return true
		}
	}
	return false
}
