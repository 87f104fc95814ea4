package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SignalQuota returns the quota of a signal. The kernel sends one message about a named quota to
// NFNLGRP_NFTABLES when it is used up (nft_quota_obj_eval), and no further one until
// [Conn.Arm].
// Any packet uses up one byte. So a flood costs one message. The kernel needs CONFIG_NFT_QUOTA.
func SignalQuota(name string) Quota { return Quota{Name: name, Bytes: 1} }

// Signal makes the kernel send the message of a signal. It matches or not, so it stands alone in
// its rule: quota name "NAME".
func Signal(name string) []expr.Any { return Over(name) }

// A SignalState is the state of a signal after [Conn.Arm].
type SignalState int

const (
	NoSignal   SignalState = iota // the table has no such signal, or there is no table
	Sent                          // its message was sent, and no further one will be
	Armed                         // the next packet makes the kernel send the message
	ArmedAgain                    // the same, after a message
)

// Reports reports whether the kernel sends a message at the next packet.
func (s SignalState) Reports() bool { return s >= Armed }

// Arm makes the kernel send the message of a signal at the next packet. If again is false, a signal
// whose message was sent is left alone. Read what the packets did after Arm: every later packet
// makes the kernel send the message. A signal that is armed already is left alone, too: where audit
// is on, the kernel records each reset and each message.
func (c *Conn) Arm(table, name string, again bool) (SignalState, error) {
	there, depleted, err := c.askSignal(unix.NFT_MSG_GETOBJ, table, name)
	state := Armed
	if err == nil && depleted {
		if state = Sent; again {
			state = ArmedAgain
			there, _, err = c.askSignal(unix.NFT_MSG_GETOBJ_RESET, table, name)
		}
	}
	if err != nil {
		return NoSignal, fmt.Errorf("arm signal %q of table %q: %w", name, table, err)
	}
	if !there {
		return NoSignal, nil
	}
	return state, nil
}

// SignalTime is how long [CheckSignal] waits for the message of a signal. A kernel that sends it at
// once does so before the packet's sender has its answer.
const SignalTime = 300 * time.Millisecond

// CheckSignal returns an error if the kernel sends no message of an armed signal at once. send
// makes a packet use it up. Kernels from 5.10 on keep the message until the next batch in that
// namespace, in a list without a lock (nft_notify_enqueue in net/netfilter/nf_tables_api.c), unless
// they have a later correction. There, no rules that stay may have a signal. After an error the
// caller sends a batch, so that no message is left in the list.
func CheckSignal(ns int, table, name string, send func() error) error {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: ns})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := errors.Join(conn.JoinGroup(unix.NFNLGRP_NFTABLES), send(), conn.SetReadDeadline(time.Now().Add(SignalTime))); err != nil {
		return err
	}
	for {
		messages, err := conn.Receive()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("the kernel does not report at once that a quota is used up")
		}
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWOBJ && isAbout(m, table, name) {
				return nil
			}
		}
	}
}

// isAbout reports whether a message is about an object of that name.
func isAbout(m netlink.Message, table, name string) bool {
	attrs, err := netlink.NewAttributeDecoder(m.Data[min(4, len(m.Data)):])
	if err != nil {
		return false
	}
	found := 0
	for attrs.Next() {
		switch {
		case attrs.Type() == unix.NFTA_OBJ_TABLE && attrs.String() == table, attrs.Type() == unix.NFTA_OBJ_NAME && attrs.String() == name:
			found++
		}
	}
	return found == 2
}

// quotaDepleted is NFT_QUOTA_F_DEPLETED: the quota is used up, or its message was sent. A packet
// that comes during a reset can leave the second without the first.
const quotaDepleted = 2

// askSignal reads a signal, and resets it if that is the request.
func (c *Conn) askSignal(request netlink.HeaderType, table, name string) (there, depleted bool, err error) {
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_OBJ_TABLE, Data: append([]byte(table), 0)},
		{Type: unix.NFTA_OBJ_NAME, Data: append([]byte(name), 0)},
		{Type: unix.NFTA_OBJ_TYPE, Data: binary.BigEndian.AppendUint32(nil, unix.NFT_OBJECT_QUOTA)},
	})
	if err != nil {
		return false, false, err
	}
	replies, err := c.raw.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | request, Flags: netlink.Request},
		Data:   append([]byte{byte(nftables.TableFamilyINet), 0, 0, 0}, attrs...), // struct nfgenmsg
	})
	if errors.Is(err, os.ErrNotExist) {
		return false, false, nil
	}
	for _, r := range replies {
		attrs, attrsErr := netlink.NewAttributeDecoder(r.Data[min(4, len(r.Data)):])
		if attrsErr != nil {
			return false, false, attrsErr
		}
		attrs.ByteOrder = binary.BigEndian
		for attrs.Next() {
			if attrs.Type() != unix.NFTA_OBJ_DATA {
				continue
			}
			attrs.Nested(func(data *netlink.AttributeDecoder) error {
				for there = true; data.Next(); {
					if data.Type() == unix.NFTA_QUOTA_FLAGS {
						depleted = data.Uint32()&quotaDepleted != 0
					}
				}
				return nil
			})
		}
		err = errors.Join(err, attrs.Err())
	}
	return there, depleted, err
}
