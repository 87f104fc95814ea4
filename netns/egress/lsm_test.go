package egress

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

// Fields are found in structs and unions without a name, and in the first element of an array.
func TestFindMember(t *testing.T) {
	number := &btf.Int{Name: "u32", Size: 4}
	inner := &btf.Struct{Size: 8, Members: []btf.Member{{Name: "a", Type: number}, {Name: "b", Type: number, Offset: 32}}}
	outer := &btf.Struct{Name: "outer", Members: []btf.Member{
		{Name: "first", Type: number},
		{Type: &btf.Union{Members: []btf.Member{{Name: "other", Type: number}, {Type: inner}}}, Offset: 64},
		{Name: "list", Type: &btf.Array{Type: &btf.Typedef{Name: "inner_t", Type: inner}, Nelems: 0}, Offset: 256},
	}}
	for _, x := range []struct {
		in     btf.Type
		name   string
		offset uint32
		absent bool
	}{
		{outer, "first", 0, false},
		{outer, "other", 8, false},
		{outer, "a", 8, false},
		{outer, "b", 12, false},
		{outer, "list", 32, false},
		{outer.Members[2].Type, "b", 4, false},
		{outer, "c", 0, true},
		{number, "a", 0, true},
	} {
		m, ok := findMember(x.in, x.name)
		if ok == x.absent || m.Offset.Bytes() != x.offset {
			t.Errorf("%s is at %d, %v; want %d, %v", x.name, m.Offset.Bytes(), ok, x.offset, !x.absent)
		}
	}
}
