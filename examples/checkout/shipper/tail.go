package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
)

// batch is the most bytes that one call of next returns, and so that one request carries.
const batch = 64 << 10

// A tail reads a growing file, a batch of whole lines at a time. If the file was renamed and begun
// anew, it finishes the old one first.
type tail struct {
	path string
	f    *os.File
	read int64 // bytes of f that next has returned
}

// next returns whole lines that were not returned before. It returns none if there is no file yet.
func (t *tail) next() ([]byte, error) {
	if t.f == nil {
		f, err := os.Open(t.path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		t.f, t.read = f, 0
	}
	b := make([]byte, batch)
	n, err := t.f.ReadAt(b, t.read)
	if err != nil && err != io.EOF {
		return nil, err
	}
	lines := b[:bytes.LastIndexByte(b[:n], '\n')+1]
	if len(lines) == 0 && n == batch {
		lines = b // a line longer than a batch goes in pieces
	}
	t.read += int64(len(lines))
	if len(lines) > 0 {
		return lines, nil
	}
	if renewed, err := t.renewed(); err != nil || !renewed {
		return nil, err
	}
	err = t.f.Close()
	t.f = nil
	if err != nil {
		return nil, err
	}
	return t.next()
}

// renewed reports whether the path now leads to another file than the open one, or to a file that
// is shorter than what was read.
func (t *tail) renewed() (bool, error) {
	now, err := os.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	open, err := t.f.Stat()
	if err != nil {
		return false, err
	}
	return !os.SameFile(now, open) || now.Size() < t.read, nil
}
