package journald

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"time"
)

// The priorities that entries have (syslog(3)).
const (
	priorityError   = 3 // standard error, where it is split
	priorityWarning = 4 // output is missing
	priorityInfo    = 6
)

// A source is where output comes from.
type source struct {
	group, container string
	stream           string // "stdout" or "stderr" where they are split, else ""
}

func (s source) priority() int {
	if s.stream == "stderr" {
		return priorityError
	}
	return priorityInfo
}

// fields returns the fields that each entry of the source has.
func (s source) fields() []byte {
	var b []byte
	b = appendField(b, "SYSLOG_IDENTIFIER", []byte(s.group+"."+s.container))
	b = appendField(b, "GROUP", []byte(s.group))
	b = appendField(b, "CONTAINER", []byte(s.container))
	if s.stream != "" {
		b = appendField(b, "STREAM", []byte(s.stream))
	}
	return b
}

// A moment is when a line was written: at that time or, with latest, then or earlier. The zero
// value is the time of the entry itself.
type moment struct {
	at     time.Time
	latest bool
}

// lineEntry returns the entry of a line of output.
func lineEntry(s source, m moment, line []byte) []byte {
	b := appendField(s.fields(), "PRIORITY", strconv.AppendInt(nil, int64(s.priority()), 10))
	if !m.at.IsZero() {
		name := "OUTPUT_TIME"
		if m.latest {
			name = "OUTPUT_BEFORE"
		}
		b = appendField(b, name, m.at.UTC().AppendFormat(nil, "2006-01-02T15:04:05.000Z07:00"))
	}
	return appendField(b, "MESSAGE", line)
}

// missedEntry returns the entry for output that was freed before it was sent.
func missedEntry(s source, missed int64) []byte {
	b := appendField(s.fields(), "PRIORITY", strconv.AppendInt(nil, priorityWarning, 10))
	b = appendField(b, "OUTPUT_MISSED", strconv.AppendInt(nil, missed, 10))
	return appendField(b, "MESSAGE", strconv.AppendInt(nil, missed, 10),
		[]byte(" bytes of output are missing here: they were freed before the journal took them"))
}

// appendField appends a field in the journal's native protocol (systemd,
// docs/JOURNAL_NATIVE_PROTOCOL.md). A value with a newline has its length before it. Any other byte
// may be in a value as it is.
func appendField(b []byte, name string, value ...[]byte) []byte {
	all := bytes.Join(value, nil)
	b = append(b, name...)
	if bytes.IndexByte(all, '\n') < 0 {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(all)))
	}
	return append(append(b, all...), '\n')
}
