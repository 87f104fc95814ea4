package uplink

import "github.com/sallyport/sallyport/netns/ruleset"

// Unchanged reports whether the host's table is as this process last read or wrote it. It costs one
// request as long as no table of the host changes. After a change of any table, ours is read once
// and compared, including its entries: other programs of a host change their tables all day. If
// another method has read entries that others changed, the next call of Unchanged returns false.
func (u *Uplink) Unchanged() (unchanged bool, at ruleset.Generation, err error) {
	err = u.alone(func() error {
		if at, err = ruleset.Glance(); err != nil || u.outdated {
			return err
		}
		if unchanged = at.Known(u.config.Table); !unchanged || at != u.knownAt {
			if err := connected(func(conn *ruleset.Conn) (err error) {
				unchanged, err = u.compare(conn, at, unchanged)
				return err
			}); err != nil {
				return err
			}
		}
		unchanged, u.altered = unchanged && !u.altered, false
		return nil
	})
	return unchanged && err == nil, at, err
}

// compare reports whether the table without its entries is as it was last read or written. It reads
// the entries if they are not known at this generation. known means that the table is known then.
func (u *Uplink) compare(conn *ruleset.Conn, at ruleset.Generation, known bool) (unchanged bool, err error) {
	if unchanged = known; !unchanged && u.known.byLink != nil {
		if unchanged, err = ruleset.Matches(conn, u.table); err != nil {
			return false, err
		}
	}
	if at != u.knownAt {
		_, err = u.read(conn)
	}
	return unchanged, err
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
