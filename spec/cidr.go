package spec

import (
	"encoding/binary"
	"math/big"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// prefixParam is a network, such as 10.0.0.0/8. Bits after its length do not count.
var prefixParam = function.Parameter{Name: "prefix", Type: cty.String}

// cidrHost returns an address of a network. A negative number counts from its end.
var cidrHost = function.New(&function.Spec{
	Params: []function.Parameter{prefixParam, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := networkArg(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		n, exact := args[1].AsBigFloat().Int(nil)
		size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		if n.Sign() < 0 {
			n.Add(n, size)
		}
		if exact != big.Exact || n.Sign() < 0 || n.Cmp(size) >= 0 {
			return cty.NilVal, function.NewArgErrorf(1, "%s has no address of that number", p)
		}
		return cty.StringVal(addressAfter(p, n).String()), nil
	},
})

// cidrNetmask returns the mask of an IPv4 network in dotted form.
var cidrNetmask = function.New(&function.Spec{
	Params: []function.Parameter{prefixParam},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := networkArg(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		if !p.Addr().Is4() {
			return cty.NilVal, function.NewArgErrorf(0, "only an IPv4 network has a mask in this form")
		}
		var mask [4]byte
		binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-p.Bits()))
		return cty.StringVal(netip.AddrFrom4(mask).String()), nil
	},
})

// cidrSubnet returns one of the networks that are so many bits longer.
var cidrSubnet = function.New(&function.Spec{
	Params: []function.Parameter{prefixParam, {Name: "newbits", Type: cty.Number}, {Name: "number", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := networkArg(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		bits, err := newBits(p, args[1], 1)
		if err != nil {
			return cty.NilVal, err
		}
		n, exact := args[2].AsBigFloat().Int(nil)
		if exact != big.Exact || n.Sign() < 0 || n.BitLen() > bits-p.Bits() {
			return cty.NilVal, function.NewArgErrorf(2, "%s has no network of that number with a length of %d bits", p, bits)
		}
		n.Lsh(n, uint(p.Addr().BitLen()-bits))
		return cty.StringVal(netip.PrefixFrom(addressAfter(p, n), bits).String()), nil
	},
})

// cidrSubnets returns networks one after the other, each so many bits longer.
var cidrSubnets = function.New(&function.Spec{
	Params:   []function.Parameter{prefixParam},
	VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:     function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := networkArg(args[0])
		if err != nil {
			return cty.NilVal, err
		}
		next := new(big.Int) // the first address that is not taken, counted from that of p
		end := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		var all []cty.Value
		for i, arg := range args[1:] {
			bits, err := newBits(p, arg, i+1)
			if err != nil {
				return cty.NilVal, err
			}
			size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-bits))
			next.Add(next, new(big.Int).Sub(size, big.NewInt(1))) // up to the next multiple of the size
			next.Div(next, size).Mul(next, size)
			after := new(big.Int).Add(next, size)
			if after.Cmp(end) > 0 {
				return cty.NilVal, function.NewArgErrorf(i+1, "%s has no room for this one after those before", p)
			}
			all = append(all, cty.StringVal(netip.PrefixFrom(addressAfter(p, next), bits).String()))
			next = after
		}
		if len(all) == 0 {
			return cty.ListValEmpty(cty.String), nil
		}
		return cty.ListVal(all), nil
	},
})

func networkArg(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, function.NewArgErrorf(0, "%s is no network. Write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"", quote(v.AsString()))
	}
	return p.Masked(), nil
}

// newBits returns the length of a network that is so many bits longer than p.
func newBits(p netip.Prefix, v cty.Value, arg int) (int, error) {
	n, exact := v.AsBigFloat().Int64()
	if exact != big.Exact || n < 0 || n > int64(p.Addr().BitLen()-p.Bits()) {
		return 0, function.NewArgErrorf(arg, "a network in %s is from 0 to %d bits longer", p, p.Addr().BitLen()-p.Bits())
	}
	return p.Bits() + int(n), nil
}

// addressAfter returns the address so many after the first one of a network, which has it.
func addressAfter(p netip.Prefix, n *big.Int) netip.Addr {
	sum := new(big.Int).SetBytes(p.Addr().AsSlice())
	bytes := sum.Add(sum, n).FillBytes(make([]byte, p.Addr().BitLen()/8))
	a, _ := netip.AddrFromSlice(bytes)
	return a
}
