package uplink

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/netns"
	"github.com/sallyport/sallyport/netns/conntrack"
	"github.com/sallyport/sallyport/netns/ruleset"
)

// The host tracks flows, and its rules judge the first packet of a flow alone. So after a change of
// the rules the flows that they refuse are deleted. The next packet of such a flow is the first of
// another one.
//
// The addresses whose flows are still to be judged are in a file ([Config.Unjudged]), which is
// written before the rules change. A process that is killed between the rules and the flows leaves
// it to the next one. If there is no file, as after a boot or with a daemon that kept none, the
// flows of all groups are judged once.

// unjudged returns the addresses whose flows are to be judged. It reads the file once.
func (u *Uplink) unjudged(conn *ruleset.Conn) ([]netip.Addr, error) {
	if u.config.Unjudged == "" || u.unjudgedRead {
		return u.pending, nil
	}
	text, err := os.ReadFile(u.config.Unjudged)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		all, err := u.read(conn)
		if err != nil {
			return nil, err
		}
		u.pending = all.sources()
	case err != nil:
		return nil, fmt.Errorf("read whose flows are to be judged: %w", err)
	default:
		for word := range strings.FieldsSeq(string(text)) {
			if a, err := netip.ParseAddr(word); err == nil {
				u.pending = append(u.pending, a)
			}
		}
	}
	u.unjudgedRead = true
	return u.pending, nil
}

// expect records that the rules for these addresses are about to change.
func (u *Uplink) expect(conn *ruleset.Conn, addresses ...netip.Addr) error {
	before, err := u.unjudged(conn)
	if err != nil {
		return err
	}
	all := slices.Clone(before)
	for _, a := range addresses {
		if !slices.Contains(all, a) {
			all = append(all, a)
		}
	}
	if len(all) == len(before) {
		return nil
	}
	return u.setUnjudged(all)
}

func (u *Uplink) setUnjudged(addresses []netip.Addr) error {
	var text strings.Builder
	for _, a := range addresses {
		fmt.Fprintln(&text, a)
	}
	if u.config.Unjudged != "" {
		if err := writeFile(u.config.Unjudged, text.String()); err != nil {
			// The disk is full, and rules don't wait for it. Without a file, the flows of all
			// groups are judged.
			if gone := os.Remove(u.config.Unjudged); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
				return fmt.Errorf("record whose flows are to be judged: %w", err)
			}
		}
	}
	u.pending = addresses
	return nil
}

// judge deletes the flows that the rules refuse, of the addresses whose rules have changed. due
// selects among these. The rules must be in force already. If no rules have changed, it costs
// nothing.
func (u *Uplink) judge(conn *ruleset.Conn, due func(addr netip.Addr, hasEntry bool) bool) error {
	pending, err := u.unjudged(conn)
	if err != nil || len(pending) == 0 {
		return err
	}
	all, err := u.read(conn)
	if err != nil {
		return err
	}
	var now, later []netip.Addr
	for _, a := range pending {
		if _, entered := all.owner[a]; due(a, entered) {
			now = append(now, a)
		} else {
			later = append(later, a)
		}
	}
	if len(now) == 0 {
		return nil
	}
	flows, err := u.flows(now...)
	if err != nil {
		return err
	}
	if len(flows) > 0 {
		local, err := netns.LocalRoutes()
		if err != nil {
			return err
		}
		r := createRights(u.config, all.all(), now, local)
		flows = slices.DeleteFunc(flows, func(f conntrack.Flow) bool { return !r.refuse(f) })
	}
	if err := conntrack.Delete(flows...); err != nil {
		return err
	}
	return u.setUnjudged(later)
}

// An address without an entry belongs to a group that was removed, or to one whose entry another
// program has deleted and that is put next. Only the caller knows which.
func anyAddress(netip.Addr, bool) bool           { return true }
func withEntry(_ netip.Addr, hasEntry bool) bool { return hasEntry }

// sources returns the addresses of groups.
func sources(e elements) []netip.Addr {
	var out []netip.Addr
	for _, set := range []string{source4, source6} {
		for _, x := range e[set] {
			out = append(out, sourceOf(x))
		}
	}
	return out
}

// writeFile replaces a file, whole or not at all, and makes its folder.
func writeFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
