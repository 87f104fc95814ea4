package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// SignalQuota returns the quota of a signal. The kernel sends one message about a named quota to
// NFNLGRP_NFTABLES when it is used up (nft_quota_obj_eval), and no further one until [Conn.Arm].
// Any packet uses up one byte. So a flood costs one message. The kernel needs CONFIG_NFT_QUOTA.
func SignalQuota(name string) Quota { return Quota{Name: name, Bytes: 1} }

// Signal makes the kernel send the message of a signal. It matches or not, so it stands alone in
// its rule: quota name "NAME".
func Signal(name string) []expr.Any { return Over(name) }

// Arm makes the kernel send the message of a signal at the next packet. It reports whether the
// table has the signal; an absent table has none. Read what the packets did after Arm: every later
// packet makes the kernel send the message. A signal that is armed already is left alone, since a
// reset may leave a record in the host's audit log.
func (c *Conn) Arm(table, name string) (armed bool, err error) {
	armed, depleted, err := c.askSignal(unix.NFT_MSG_GETOBJ, table, name)
	if err == nil && depleted {
		armed, _, err = c.askSignal(unix.NFT_MSG_GETOBJ_RESET, table, name)
	}
	if err != nil {
		return false, fmt.Errorf("arm signal %q of table %q: %w", name, table, err)
	}
	return armed, nil
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
