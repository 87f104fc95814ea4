package network

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/shim/host"
)

// Every counter of the rules is in the status, under the same field name.
func TestCountersOf(t *testing.T) {
	var c egress.Counters
	fields := reflect.ValueOf(&c).Elem()
	want := map[string]uint64{}
	for i := range fields.NumField() {
		n := uint64(i + 1)
		fields.Field(i).FieldByName("Packets").SetUint(n)
		fields.Field(i).FieldByName("Bytes").SetUint(100 * n)
		want[fields.Type().Field(i).Name] = n
	}
	got := map[string]uint64{}
	counters := reflect.ValueOf(countersOf(c))
	for i := range counters.NumField() {
		count := counters.Field(i).Interface().(host.Count)
		if count.Bytes != 100*count.Packets {
			t.Errorf("%s: %+v", counters.Type().Field(i).Name, count)
		}
		got[counters.Type().Field(i).Name] = count.Packets
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("packets (-want +got):\n%s", diff)
	}
}
