package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// maxList limits a list in the JSON of an archive. 8 MiB of "{}," would else be a gigabyte of
// descriptors.
const maxList = 1000

// A list is a slice that JSON with more than maxList elements can't be decoded into.
type list[T any] []T

// UnmarshalJSON implements [json.Unmarshaler].
func (l *list[T]) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("a list is expected, and there is %.20q", b)
	}
	*l = nil
	for d.More() {
		if len(*l) == maxList {
			return fmt.Errorf("a list has more than %d elements", maxList)
		}
		var v T
		if err := d.Decode(&v); err != nil {
			return err
		}
		*l = append(*l, v)
	}
	return nil
}

// An untilDone is a reader that ends with its context.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}
