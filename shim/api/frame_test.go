package api

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type frame struct {
	Kind    frameType
	Payload string
}

// readFrames reads frames until the first error.
func readFrames(data []byte) (frames []frame, err error) {
	r := frameReader{r: bytes.NewReader(data)}
	for {
		kind, payload, err := r.next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame{kind, string(payload)})
	}
}

func TestFrames(t *testing.T) {
	for _, tt := range []struct {
		name string
		data string
		want []frame
		err  error
	}{
		{"none", "", nil, io.EOF},
		{"two", "\x01\x00\x00\x00\x02hi\x02\x00\x00\x00\x00", []frame{{frameStdin, "hi"}, {frameStdinEnd, ""}}, io.EOF},
		{"a type of a later version", "\x63\x00\x00\x00\x01x", []frame{{99, "x"}}, io.EOF},
		{"the largest", "\x04\x00\x01\x00\x00" + strings.Repeat("x", maxFrame), []frame{{frameStdout, strings.Repeat("x", maxFrame)}}, io.EOF},
		{"too large", "\x04\x00\x01\x00\x01x", nil, errFrame},
		{"cut in the header", "\x01\x00\x00", nil, io.ErrUnexpectedEOF},
		{"cut after the header", "\x01\x00\x00\x00\x02", nil, io.ErrUnexpectedEOF},
		{"cut in the payload", "\x01\x00\x00\x00\x02h", nil, io.ErrUnexpectedEOF},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := readFrames([]byte(tt.data))
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("frames (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOutputIsCutIntoFrames(t *testing.T) {
	var wire bytes.Buffer
	text := strings.Repeat("0123456789", 10_000)
	n, err := output{&frameWriter{w: &wire}, frameStderr}.Write([]byte(text))
	if n != len(text) || err != nil {
		t.Fatalf("Write: %d, %v", n, err)
	}
	frames, _ := readFrames(wire.Bytes())
	var got strings.Builder
	for _, f := range frames {
		if f.Kind != frameStderr || len(f.Payload) > chunk {
			t.Errorf("a frame of type %d, %d bytes", f.Kind, len(f.Payload))
		}
		got.WriteString(f.Payload)
	}
	if got.String() != text {
		t.Errorf("%d bytes of %d, or others", got.Len(), len(text))
	}
}

func TestNumbers(t *testing.T) {
	if n, err := parseNumber(number(1 << 31)); n != 1<<31 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := parseNumber([]byte("abc")); !errors.Is(err, errFrame) {
		t.Errorf("three bytes: %v", err)
	}
}

// A frame that was read is the same when it is written again. A session survives any input.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x01\x00\x00\x00\x02hi\x02\x00\x00\x00\x00\x03\x00\x00\x00\x04\x00\x50\x00\x18"))
	f.Add([]byte("\x03\x00\x00\x00\x01x"))
	f.Add([]byte("\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frames, err := readFrames(data)
		if err == nil {
			t.Fatal("no end")
		}
		var again bytes.Buffer
		w := frameWriter{w: &again}
		for _, f := range frames {
			if err := w.write(f.Kind, []byte(f.Payload)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("read %q, writes %q", data, again.Bytes())
		}
		k := newKeyboard(func(int) {})
		if err := k.read(bytes.NewReader(data)); err == nil {
			t.Error("no end")
		}
		if _, err := io.Copy(io.Discard, k.stdin); err != nil && err != io.ErrUnexpectedEOF {
			t.Errorf("input: %v", err)
		}
	})
}
