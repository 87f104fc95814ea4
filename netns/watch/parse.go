package watch

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// A message is one netlink message. data follows its header.
type message struct {
	kind uint16
	data []byte
}

// split returns the messages of a datagram. It stops where a length is wrong.
func split(b []byte) (out []message) {
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			return out
		}
		out = append(out, message{binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:n]})
		b = b[min(align(n), len(b)):]
	}
	return out
}

// attributes calls do for each attribute after a header of that size.
func (m message) attributes(header int, do func(kind uint16, value []byte)) {
	b := m.data[min(align(header), len(m.data)):]
	for len(b) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofNlAttr || n > len(b) {
			return
		}
		do(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofNlAttr:n])
		b = b[min(align(n), len(b)):]
	}
}

// align returns n with the padding that follows it.
func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }

func text(value []byte) string { return string(bytes.TrimRight(value, "\x00")) }

// int32At returns the number at an offset. It is 0 if the message ends before.
func (m message) int32At(offset int) int32 {
	if len(m.data) < offset+4 {
		return 0
	}
	return int32(binary.NativeEndian.Uint32(m.data[offset:]))
}

// readRoute reads a socket for links, addresses, routes, and numbers of namespaces.
func (w *Watcher) readRoute(fd int, add func(Event)) (lost bool) {
	return receive(fd, func(number int32, datagram []byte) {
		if number >= 0 {
			if name := w.nameOf(number); name != "" {
				add(Event{Kind: Links, Name: name})
			}
			return
		}
		for _, m := range split(datagram) {
			switch m.kind {
			case unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_NEWADDR, unix.RTM_DELADDR:
				if e := m.link(); fd != w.hub.route { // the hub has a loopback of its own
					add(e)
				}
			case unix.RTM_NEWNETCONF:
				if m.forwarding() {
					add(Event{Kind: Forwarding})
				}
			case unix.RTM_DELNSID:
				if name := w.gone(m); name != "" {
					add(Event{Kind: Gone, Name: name})
				}
			}
		}
	})
}

// link returns the event of a message about a link of the host or its addresses.
func (m message) link() Event {
	// struct ifinfomsg and struct ifaddrmsg have the index in the same place.
	e := Event{Kind: Links, Index: int(m.int32At(4))}
	if m.kind == unix.RTM_NEWLINK || m.kind == unix.RTM_DELLINK {
		m.attributes(unix.SizeofIfInfomsg, func(kind uint16, value []byte) {
			if kind == unix.IFLA_IFNAME {
				e.Link = text(value)
			}
		})
	}
	return e
}

// Attributes and values of linux/netconf.h.
const (
	netconfIndex      = 1 // NETCONFA_IFINDEX
	netconfForwarding = 2 // NETCONFA_FORWARDING
	netconfAll        = -1
	sizeofNetconf     = 1 // struct netconfmsg: the family
)

// forwarding reports whether the message is about the forwarding of the whole host.
func (m message) forwarding() bool {
	all, forwarding := false, false
	m.attributes(sizeofNetconf, func(kind uint16, value []byte) {
		forwarding = forwarding || kind == netconfForwarding
		all = all || kind == netconfIndex && len(value) >= 4 && int32(binary.NativeEndian.Uint32(value)) == netconfAll
	})
	return all && forwarding
}

// gone takes back the number of a namespace that does not exist any more. It returns the name.
func (w *Watcher) gone(m message) (name string) {
	const sizeofRtgenmsg, nsid = 1, 1 // struct rtgenmsg, NETNSA_NSID
	m.attributes(sizeofRtgenmsg, func(kind uint16, value []byte) {
		if kind != nsid || len(value) < 4 {
			return
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if name = w.names[int32(binary.NativeEndian.Uint32(value))]; name != "" {
			w.forgetNumber(name)
		}
	})
	return name
}

func (w *Watcher) nameOf(number int32) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[number]
}

// sizeofNfgenmsg is the size of struct nfgenmsg, which begins every message of nf_tables.
const sizeofNfgenmsg = 4

// readNetfilter reads a socket for tables.
func (w *Watcher) readNetfilter(fd int, add func(Event)) (lost bool) {
	return receive(fd, func(number int32, datagram []byte) {
		name := ""
		if number >= 0 {
			if name = w.nameOf(number); name == "" {
				return
			}
		} else if fd == w.hub.netfilter {
			return
		}
		for _, m := range split(datagram) {
			switch m.kind {
			case newGeneration:
				add(Event{Kind: Rules, Name: name})
			case newObject:
				e := Event{Kind: Object, Name: name}
				m.attributes(sizeofNfgenmsg, func(kind uint16, value []byte) {
					switch kind {
					case unix.NFTA_OBJ_TABLE:
						e.Table = text(value)
					case unix.NFTA_OBJ_NAME:
						e.Object = text(value)
					}
				})
				add(e)
			}
		}
	})
}
