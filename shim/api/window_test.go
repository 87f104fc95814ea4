package api

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

func TestInbox(t *testing.T) {
	granted := 0
	in := newInbox(func(n int) { granted += n })
	if err := in.put(make([]byte, window)); err != nil {
		t.Fatalf("a full window: %v", err)
	}
	if err := in.put([]byte("x")); !errors.Is(err, errFrame) {
		t.Errorf("more than the window: %v, want %v", err, errFrame)
	}
	if n, err := io.ReadFull(in, make([]byte, 1000)); n != 1000 || err != nil {
		t.Fatalf("Read: %d, %v", n, err)
	}
	if granted != 1000 {
		t.Errorf("granted %d more bytes, want the 1000 that were read", granted)
	}
	if err := in.put(make([]byte, 1000)); err != nil {
		t.Errorf("input that was granted: %v", err)
	}
	in.close(io.EOF)
	in.close(errGone)
	if err := in.put([]byte("x")); err == nil {
		t.Error("after the end and more than the window: no error")
	}
	rest, err := io.ReadAll(in)
	if len(rest) != window || err != nil {
		t.Errorf("the rest: %d bytes, %v; want %d and the first end", len(rest), err, window)
	}
	if err := in.put([]byte("late")); err != nil {
		t.Errorf("after the end: %v", err)
	}
	if n, err := in.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read after the end: %d, %v", n, err)
	}
}

func TestInboxReadWaits(t *testing.T) {
	in := newInbox(func(int) {})
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(in)
		got <- all
	}()
	for range 3 {
		if err := in.put([]byte("ab")); err != nil {
			t.Fatal(err)
		}
	}
	in.close(io.EOF)
	if all := receive(t, "the reader", got); !bytes.Equal(all, []byte("ababab")) {
		t.Errorf("read %q", all)
	}
}

func TestCredit(t *testing.T) {
	c := newCredit(3)
	if n := c.wait(); n != 3 {
		t.Fatalf("got %d, want 3", n)
	}
	c.add(-3)
	got := make(chan int)
	go func() {
		got <- c.wait()
		c.add(-5)
		got <- c.wait()
	}()
	c.add(5)
	if n := receive(t, "a grant", got); n != 5 {
		t.Errorf("got %d, want 5", n)
	}
	c.close()
	if n := receive(t, "the end", got); n != 0 {
		t.Errorf("after close: %d, want 0", n)
	}
}
