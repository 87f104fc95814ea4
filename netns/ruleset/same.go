package ruleset

import (
	"bytes"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

func sameRule(got *nftables.Rule, want Rule) bool {
	return bytes.Equal(got.UserData, want.userData()) && sameExprs(got.Exprs, want.Exprs)
}

func sameExprs(got, want []expr.Any) bool {
	want = slices.DeleteFunc(slices.Clone(want), func(e expr.Any) bool {
		_, unreadable := e.(*expr.Socket)
		return unreadable
	})
	if len(got) != len(want) {
		return false
	}
	for i := range want {
		w, err := canonical(want[i])
		if err != nil {
			return false
		}
		g, err := canonical(got[i])
		if err != nil || !bytes.Equal(g, w) {
			return false
		}
	}
	return true
}

// canonical returns an expression's bytes without the attributes that the kernel adds.
func canonical(e expr.Any) ([]byte, error) {
	switch x := e.(type) {
	case foreign:
		return nil, errForeign
	case *expr.Lookup:
		c := *x
		c.SetID = 0
		e = &c
	case *expr.Dynset:
		c := *x
		c.SetID = 0
		e = &c
	case *expr.Redir:
		c := *x
		c.RegisterProtoMax, c.Flags = c.RegisterProtoMin, c.Flags|expr.NF_NAT_RANGE_PROTO_SPECIFIED
		e = &c
	case *expr.NAT:
		c := *x
		c.RegAddrMax, c.RegProtoMax = max(c.RegAddrMax, c.RegAddrMin), max(c.RegProtoMax, c.RegProtoMin)
		e = &c
	}
	return expr.Marshal(byte(nftables.TableFamilyINet), e)
}
