package ruleset

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// readRules reads the rules of all chains of a table in one list. GetRules of the library reads
// those of one chain.
func readRules(conn *Conn, table *nftables.Table) (map[string][]*nftables.Rule, error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.NFTA_RULE_TABLE, Data: []byte(table.Name + "\x00")}})
	if err != nil {
		return nil, err
	}
	replies, err := conn.raw.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(table.Family), 0, 0, 0}, name...), // struct nfgenmsg, version 0
	})
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	rules := map[string][]*nftables.Rule{}
	for _, m := range replies {
		if m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE {
			continue
		}
		r, err := parseRule(byte(table.Family), m.Data)
		if err != nil {
			return nil, fmt.Errorf("read rules: %w", err)
		}
		if r.Table.Name == table.Name {
			rules[r.Chain.Name] = append(rules[r.Chain.Name], r)
		}
	}
	return rules, nil
}

// parseRule reads the body of a message with a rule.
func parseRule(family byte, body []byte) (*nftables.Rule, error) {
	r := &nftables.Rule{Table: &nftables.Table{Family: nftables.TableFamily(family)}, Chain: &nftables.Chain{}}
	err := eachAttribute(body[min(4, len(body)):], func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.NFTA_RULE_TABLE:
			r.Table.Name = a.String()
		case unix.NFTA_RULE_CHAIN:
			r.Chain.Name = a.String()
		case unix.NFTA_RULE_HANDLE:
			r.Handle = a.Uint64()
		case unix.NFTA_RULE_POSITION:
			r.Position = a.Uint64()
		case unix.NFTA_RULE_USERDATA:
			r.UserData = a.Bytes()
		case unix.NFTA_RULE_EXPRESSIONS:
			a.Do(func(list []byte) error {
				return eachAttribute(list, func(a *netlink.AttributeDecoder) {
					a.Do(func(b []byte) error {
						e, err := parseExpr(family, b)
						if e != nil {
							r.Exprs = append(r.Exprs, e)
						}
						return err
					})
				})
			})
		}
	})
	return r, err
}

// parseExpr reads one expression. It is nil for a socket's, which the library can't read.
func parseExpr(family byte, b []byte) (e Expr, err error) {
	name := ""
	var data []byte
	if err := eachAttribute(b, func(a *netlink.AttributeDecoder) {
		switch a.Type() {
		case unix.NFTA_EXPR_NAME:
			name = a.String()
		case unix.NFTA_EXPR_DATA:
			data = a.Bytes()
		}
	}); err != nil {
		return nil, err
	}
	if name == "socket" {
		return nil, nil
	}
	if e = newExpr(name); e == nil {
		return foreign{}, nil
	}
	if data == nil {
		return e, nil
	}
	if err := expr.Unmarshal(family, data, e); err != nil {
		return nil, err
	}
	if i, ok := e.(*expr.Immediate); ok && i.Register == unix.NFT_REG_VERDICT && len(i.Data) == 0 {
		e = &expr.Verdict{}
		return e, expr.Unmarshal(family, data, e)
	}
	return e, nil
}

// newExpr returns an empty expression of the kinds that rules of ours have, and nil for others.
func newExpr(name string) Expr {
	switch name {
	case "bitwise":
		return &expr.Bitwise{}
	case "cmp":
		return &expr.Cmp{}
	case "counter":
		return &expr.Counter{}
	case "ct":
		return &expr.Ct{}
	case "dynset":
		return &expr.Dynset{}
	case "fib":
		return &expr.Fib{}
	case "immediate":
		return &expr.Immediate{}
	case "limit":
		return &expr.Limit{}
	case "lookup":
		return &expr.Lookup{}
	case "masq":
		return &expr.Masq{}
	case "meta":
		return &expr.Meta{}
	case "nat":
		return &expr.NAT{}
	case "notrack":
		return &expr.Notrack{}
	case "objref":
		return &expr.Objref{}
	case "payload":
		return &expr.Payload{}
	case "range":
		return &expr.Range{}
	case "redir":
		return &expr.Redir{}
	case "reject":
		return &expr.Reject{}
	default:
		return nil
	}
}

// A foreign is an expression of a kind that no rule of ours has. It is like no other.
type foreign struct{ Expr }

var errForeign = errors.New("an expression of a kind that is not ours")

// eachAttribute calls do with each attribute of a list. Numbers are big-endian.
func eachAttribute(list []byte, do func(*netlink.AttributeDecoder)) error {
	a, err := netlink.NewAttributeDecoder(list)
	if err != nil {
		return err
	}
	a.ByteOrder = binary.BigEndian
	for a.Next() {
		do(a)
	}
	return a.Err()
}
