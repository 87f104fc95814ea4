package spec

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fullDoor is the door of the group that the digests are tested with.
func fullDoor(t *testing.T) Door {
	t.Helper()
	g := parseOne(t, base)
	return g.Door()
}

// fixedFields are the fields of a Door that can't change while the ambassador runs. Another value
// replaces the ambassador.
var fixedFields = []string{"Upstreams", "Unsafe"}

// hiddenFields are the fields of a Door that a group's status does not repeat from the file.
var hiddenFields = []string{"Upstreams", "Allow", "Unsafe", "PingGroups"}

// A new field of Door fails here until the group of the digest tests has it, and until Fixed and
// Shown agree with the lists above.
func TestDoorFields(t *testing.T) {
	full := fullDoor(t)
	for f := range reflect.TypeFor[Door]().Fields() {
		t.Run(f.Name, func(t *testing.T) {
			if reflect.ValueOf(full).FieldByIndex(f.Index).IsZero() {
				t.Fatal("the group of the digest tests does not set it")
			}
			before, after := parseOne(t, base), parseOne(t, base)
			reflect.ValueOf(&after.Ambassador().Door).Elem().FieldByIndex(f.Index).SetZero()
			after.seal()
			if before.Digest == after.Digest {
				t.Error("it is no part of the group's digest")
			}
			replaced := before.Ambassador().Digest != after.Ambassador().Digest
			if want := slices.Contains(fixedFields, f.Name); replaced != want {
				t.Errorf("a change of it replaces the ambassador: %t, want %t", replaced, want)
			}
			hidden := reflect.ValueOf(full.Shown()).FieldByIndex(f.Index).IsZero()
			if want := slices.Contains(hiddenFields, f.Name); hidden != want {
				t.Errorf("a status hides it: %t, want %t", hidden, want)
			}
		})
	}
}

func TestDoorLimits(t *testing.T) {
	type limit struct {
		verb, text string
		value      int64
	}
	var got []limit
	for _, l := range fullDoor(t).Limits() {
		got = append(got, limit{l.Verb, l.Text, l.Value})
	}
	want := []limit{
		{"send", "2Mbit a second", 2_000_000},
		{"receive", "10Mbit a second", 10_000_000},
		{"exchange", "5GiB", 5 << 30},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(limit{})); diff != "" {
		t.Errorf("limits (-want +got):\n%s", diff)
	}
}

// A stored definition has the door's fields among the container's, in the order of the digests.
func TestDoorIsFlatInJSON(t *testing.T) {
	c := Container{Name: "proxy", Door: Door{Intercept: 15001, Quota: 5}, Digest: "x"}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"proxy","role":"","image":"","capabilities":null,"intercept":15001,"quota":5,"digest":"x"}`
	if string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
}

func TestDoorFixedLeavesTheDoorAlone(t *testing.T) {
	door := fullDoor(t)
	door.Fixed()
	if diff := cmp.Diff(fullDoor(t), door); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

// Every port that the file gives the ambassador is the ambassador's. Ports of members are not.
func TestAmbassadorPorts(t *testing.T) {
	g := Group{DNS: DNSAmbassador, Containers: []Container{{Name: "web", Role: App}, {Name: "proxy", Role: Ambassador}}}
	g.Ambassador().Door = Door{
		Publish:   []Publish{{Host: 8443, Port: 443}, {Host: 8053, Port: 53}},
		Upstreams: []Upstream{{Listen: 9001}},
		Intercept: 15001,
	}
	if diff := cmp.Diff([]uint16{443, 53, 9001, 15001, 53}, g.AmbassadorPorts()); diff != "" {
		t.Errorf("ports (-want +got):\n%s", diff)
	}
	g.DNS, g.Ambassador().Door = DNSNone, Door{}
	if got := g.AmbassadorPorts(); len(got) > 0 {
		t.Errorf("ports of an ambassador without any: %v", got)
	}
	if got := (&Group{DNS: DNSAmbassador, Containers: g.Containers[:1]}).AmbassadorPorts(); len(got) > 0 {
		t.Errorf("ports without an ambassador: %v", got)
	}
}
