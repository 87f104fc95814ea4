package main

import (
	"errors"
	"os"
)

// A logFile is appended to until it has limit bytes. Then it is renamed to path.1 and begun anew.
// The volume that holds it is memory, so it must not grow without end.
type logFile struct {
	path  string
	limit int64
	f     *os.File
	size  int64
}

func (l *logFile) Write(p []byte) (int, error) {
	if l.f != nil && l.size+int64(len(p)) > l.limit {
		if err := errors.Join(l.Close(), os.Rename(l.path, l.path+".1")); err != nil {
			return 0, err
		}
	}
	if l.f == nil {
		if err := l.open(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Close may be called again. A write after Close opens the file anew.
func (l *logFile) Close() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return err
}
