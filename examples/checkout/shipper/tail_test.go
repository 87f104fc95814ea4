package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A log is the file that a test's tail follows.
type log struct {
	t    *testing.T
	path string
}

func newLog(t *testing.T) log {
	return log{t, filepath.Join(t.TempDir(), "orders.log")}
}

func (l log) append(s string) {
	l.t.Helper()
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(s); err != nil {
		l.t.Fatal(err)
	}
}

func (l log) rename() {
	l.t.Helper()
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		l.t.Fatal(err)
	}
}

func (l log) truncate() {
	l.t.Helper()
	if err := os.Truncate(l.path, 0); err != nil {
		l.t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	for _, tt := range []struct {
		name string
		// Each step changes the log, and has what next must return afterwards.
		steps []func(log) (want string)
	}{
		{"no file yet", []func(log) string{
			func(log) string { return "" },
			func(l log) string { l.append("one\n"); return "one\n" },
		}},
		{"nothing new", []func(log) string{
			func(l log) string { l.append("one\n"); return "one\n" },
			func(log) string { return "" },
		}},
		{"half a line waits for the rest", []func(log) string{
			func(l log) string { l.append("one\ntw"); return "one\n" },
			func(log) string { return "" },
			func(l log) string { l.append("o\n"); return "two\n" },
		}},
		{"begun anew, the old one first", []func(log) string{
			func(l log) string { l.append("one\n"); return "one\n" },
			func(l log) string { l.append("two\n"); l.rename(); l.append("three\n"); return "two\n" },
			func(log) string { return "three\n" },
		}},
		{"renamed and not there yet", []func(log) string{
			func(l log) string { l.append("one\n"); return "one\n" },
			func(l log) string { l.rename(); return "" },
			func(l log) string { l.append("two\n"); return "two\n" },
		}},
		{"cut to nothing", []func(log) string{
			func(l log) string { l.append("one\ntwo\n"); return "one\ntwo\n" },
			func(l log) string { l.truncate(); l.append("new\n"); return "new\n" },
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLog(t)
			tail := &tail{path: l.path}
			for i, step := range tt.steps {
				want := step(l)
				got, err := tail.next()
				if err != nil || string(got) != want {
					t.Fatalf("step %d: next is %q, %v; want %q", i, got, err, want)
				}
			}
		})
	}
}

func TestTailBatches(t *testing.T) {
	l := newLog(t)
	line := bytes.Repeat([]byte("x"), batch-1)
	l.append(string(line) + "\n" + "short\n" + string(line) + string(line) + "\n")
	tail := &tail{path: l.path}
	for i, want := range []int{batch, len("short\n"), batch, batch - 1, 0} {
		got, err := tail.next()
		if err != nil || len(got) != want {
			t.Fatalf("batch %d has %d bytes, %v; want %d", i, len(got), err, want)
		}
	}
}
