package shim

import (
	"reflect"
	"testing"

	"github.com/sallyport/sallyport/netns/egress"
	"github.com/sallyport/sallyport/netns/ruleset"
)

func TestCountersOfTheRules(t *testing.T) {
	var c egress.Counters
	from := reflect.ValueOf(&c).Elem()
	for i := range from.NumField() {
		from.Field(i).Set(reflect.ValueOf(ruleset.Tally{Packets: uint64(i + 1), Bytes: uint64(100 * i)}))
	}
	to := reflect.ValueOf(countersOf(c))
	if to.NumField() != from.NumField() {
		t.Fatalf("%d counters of %d", to.NumField(), from.NumField())
	}
	for i := range from.NumField() {
		name := from.Type().Field(i).Name
		want, got := Count(from.Field(i).Interface().(ruleset.Tally)), to.FieldByName(name).Interface()
		if got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
