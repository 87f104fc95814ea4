package uplink

import "github.com/sallyport/sallyport/netns/ruleset"

// Known reports whether the host's table is as this process last saw or made it; see [ruleset.Conn.Known].
func (u *Uplink) Known() (known bool, at ruleset.Generation, err error) {
	err = u.locked(func(conn *ruleset.Conn) error {
		known, at, err = conn.Known(u.config.Table)
		return err
	})
	return known, at, err
}
