package ctrd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/spec"
)

// A zone file has every change of the clocks in these years. Beyond them the last one holds.
const (
	zoneFrom = 1900
	zoneTo   = 2200
)

// zoneOf returns the file of a container's time zone, where programs look for it. Many images have
// no zones. ok is false without a zone of the file.
func zoneOf(c spec.Container) (f spec.File, ok bool, err error) {
	if c.Timezone == "" {
		return f, false, nil
	}
	zone, err := time.LoadLocation(c.Timezone) // that of the host, or else the one in the program
	if err != nil {
		return f, false, fmt.Errorf("time zone of container %q: %w", c.Name, err)
	}
	return spec.File{Path: spec.ZonePath(c.Timezone), Content: zoneFile(zone)}, true, nil
}

// A zoneKind has the values that hold between two changes of the clocks.
type zoneKind struct {
	name   string
	offset int // seconds east of UTC
	summer bool
}

// zoneFile returns a zone in the format of RFC 8536, version 2.
func zoneFile(zone *time.Location) []byte {
	kindAt := func(t time.Time) zoneKind {
		name, offset := t.Zone()
		return zoneKind{name, offset, t.IsDST()}
	}
	at := time.Date(zoneFrom, 1, 1, 0, 0, 0, 0, time.UTC).In(zone)
	kinds := []zoneKind{kindAt(at)}
	var times []int64
	var indexes []byte
	for {
		_, end := at.ZoneBounds()
		if !end.IsZero() && !end.After(at) { // on the last day of a leap year, see tzset in package time
			at = at.Add(24 * time.Hour)
			continue
		}
		if end.IsZero() || end.Year() >= zoneTo {
			break
		}
		at = end
		kind := kindAt(at)
		i := slices.Index(kinds, kind)
		if i < 0 {
			i, kinds = len(kinds), append(kinds, kind)
		}
		times, indexes = append(times, at.Unix()), append(indexes, byte(i))
	}
	var names bytes.Buffer
	var types []byte
	for _, k := range kinds {
		types = binary.BigEndian.AppendUint32(types, uint32(int32(k.offset)))
		summer := byte(0)
		if k.summer {
			summer = 1
		}
		types = append(types, summer, byte(names.Len()))
		names.WriteString(k.name + "\x00")
	}
	var b bytes.Buffer
	header := func(times, kinds, names int) {
		b.WriteString("TZif2")
		b.Write(make([]byte, 15))
		for _, n := range []int{0, 0, 0, times, kinds, names} {
			_ = binary.Write(&b, binary.BigEndian, uint32(n)) // a buffer takes all
		}
	}
	header(0, 1, 1) // of version 1, which no program reads that knows version 2
	b.Write(make([]byte, 6+1))
	header(len(times), len(kinds), names.Len())
	_ = binary.Write(&b, binary.BigEndian, times)
	b.Write(indexes)
	b.Write(types)
	b.Write(names.Bytes())
	b.WriteString("\n\n") // no rule for what comes later
	return b.Bytes()
}
